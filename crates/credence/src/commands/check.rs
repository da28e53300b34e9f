//! `credence check`: configuration, databases and lists, all errors at once, without starting anything.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use intel::Agents;

use super::ConfigArgs;
use crate::data;
use crate::errors::all_errors;
use crate::service::stream_problems;

/// Options of `credence check`.
#[derive(Args, Debug)]
pub struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

impl CheckArgs {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode> {
        let Some(config) = self.config.read()? else { return Ok(ExitCode::SUCCESS) };
        let mut errors = stream_problems(&config);
        match intel::load(&config.sources, Agents::default()) {
            Err(failed) => errors.extend(failed.iter().map(ToString::to_string)),
            Ok(loaded) => {
                for warning in data::warnings(&config, &loaded) {
                    println!("warning: {warning}");
                }
                for source in &loaded.sources {
                    let entries = source.entries.map(|n| format!(", {n} entries")).unwrap_or_default();
                    let made = model::Timestamp(i64::try_from(source.made_at_s).unwrap_or_default() * 1000);
                    println!("{}: version {}, made {made}{entries}", source.name, source.version);
                }
            }
        }
        if !errors.is_empty() {
            return Err(all_errors("the configuration", &errors));
        }
        print!("{}", config.to_toml());
        println!("# everything is in order");
        Ok(ExitCode::SUCCESS)
    }
}
