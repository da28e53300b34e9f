//! The commands, one file each.

pub mod backtest;
pub mod check;
pub mod demo;
pub mod logs;
pub mod run;
pub mod schema;
pub mod score;
pub mod topics;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use intel::Agents;

use crate::config::{Config, Inputs};
use crate::errors::all_errors;
use crate::service::stream_problems;

/// Scores logins for risk: login events in, confidence levels and tenant log records out.
#[derive(Parser)]
#[command(name = "credence", version, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the stream processor: login events from Kafka in, verdicts and tenant log records out.
    Run(run::RunArgs),
    /// See the main job work, with everything embedded: broker, data, logins and attacks.
    Demo(demo::DemoArgs),
    /// Score JSON lines without Kafka: one verdict a scored attempt on standard output.
    Score(score::ScoreArgs),
    /// Score a recorded stream with two settings: what would have changed.
    Backtest(backtest::BacktestArgs),
    /// Show and explain tenant log records: from the topic, or from files.
    Logs(Box<logs::LogsArgs>),
    /// Check configuration, databases and lists, and print the configuration in force.
    Check(check::CheckArgs),
    /// Create the topics.
    Topics(topics::TopicsArgs),
    /// Write or print the JSON Schemas and the AsyncAPI document.
    Schema(schema::SchemaArgs),
}

impl Cli {
    /// Runs the command that was asked for.
    pub fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Run(args) => args.run(),
            Command::Demo(args) => args.run(),
            Command::Score(args) => args.run(),
            Command::Backtest(args) => args.run(),
            Command::Logs(args) => args.run(),
            Command::Check(args) => args.run(),
            Command::Topics(args) => args.run(),
            Command::Schema(args) => args.run(),
        }
    }
}

/// Where the configuration comes from; options win over the environment, that over the file.
#[derive(Args, Debug, Clone, Default)]
pub struct ConfigArgs {
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// City database in MaxMind's format.
    #[arg(long, value_name = "PATH")]
    pub city: Option<PathBuf>,
    /// ASN database in MaxMind's format.
    #[arg(long, value_name = "PATH")]
    pub asn: Option<PathBuf>,
    /// Anonymous-IP database in MaxMind's format.
    #[arg(long, value_name = "PATH")]
    pub anonymous: Option<PathBuf>,
    /// Deny list: name=NAME,category=CATEGORY,path=PATH[,confidence=low|medium|high]. Repeatable.
    #[arg(long, value_name = "LIST")]
    pub deny_list: Vec<String>,
    /// List of relay networks. Repeatable.
    #[arg(long, value_name = "PATH")]
    pub relay_list: Vec<PathBuf>,
    /// Network that is on no deny list. Repeatable.
    #[arg(long, value_name = "CIDR")]
    pub allow: Vec<String>,
    /// Any key of the configuration, for instance travel.floor_km=50. Repeatable.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Print the whole configuration in force, secrets masked, and stop.
    #[arg(long)]
    pub print_config: bool,
}

impl ConfigArgs {
    /// Reads the configuration; `None` when it was only to be printed.
    pub fn read(&self) -> Result<Option<Config>> {
        self.read_beside(Vec::new())
    }

    /// As [`ConfigArgs::read`], by a command that has found other things wrong already: one report tells
    /// of everything.
    pub fn read_beside(&self, found: Vec<String>) -> Result<Option<Config>> {
        let mut problems = Vec::new();
        let file = self.config.as_ref().and_then(|path| match std::fs::read_to_string(path) {
            Ok(text) => Some((path.clone(), text)),
            Err(error) => {
                problems.push(format!("the configuration file {} cannot be read: {error}", path.display()));
                None
            }
        });
        let inputs = Inputs {
            file,
            environment: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
            set: self.set.clone(),
            city: self.city.clone(),
            asn: self.asn.clone(),
            anonymous: self.anonymous.clone(),
            deny_lists: self.deny_list.clone(),
            relay_lists: self.relay_list.clone(),
            allow: self.allow.clone(),
        };
        let (config, errors) = Config::read_what_is_right(&inputs);
        problems.extend(errors.iter().map(ToString::to_string));
        if !problems.is_empty() || !found.is_empty() {
            // The files that it names and the properties are looked at all the same: one report, not three.
            if !problems.is_empty() {
                problems.extend(stream_problems(&config));
            }
            let what = if found.is_empty() { "the configuration" } else { "configuration, options and files" };
            problems.extend(found);
            problems.extend(
                intel::load(&config.sources, Agents::default()).err().iter().flatten().map(ToString::to_string),
            );
            return Err(all_errors(what, &problems));
        }
        if self.print_config {
            print!("{}", config.to_toml());
            return Ok(None);
        }
        Ok(Some(config))
    }
}
