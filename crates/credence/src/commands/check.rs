//! `credence check`: configuration, databases and lists, all errors at once, without starting anything.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use intel::Agents;

use super::ConfigArgs;
use crate::data;
use crate::errors::all_errors;
use crate::service::{api_config, stream_problems};
use crate::settings_file;

/// Options of `credence check`.
#[derive(Args, Debug)]
pub struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Settings documents of tenants, to be checked as well: JSON lines or a JSON array.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
}

impl CheckArgs {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode> {
        let Some(config) = self.config.read()? else { return Ok(ExitCode::SUCCESS) };
        let mut errors = stream_problems(&config);
        errors.extend(api_config(&config).err().unwrap_or_default());
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
        if let Some(path) = &self.settings {
            match settings_file::documents(path, &data::defaults(&config)) {
                Ok(documents) => println!("{}: settings of {} tenants", path.display(), documents.len()),
                Err(problems) => errors.extend(problems.iter().map(|problem| format!("{}: {problem}", path.display()))),
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
