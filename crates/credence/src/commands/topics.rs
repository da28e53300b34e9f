//! `credence topics create`: makes the topics that do not exist yet, with the settings that each needs.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use stream::topics::{PlanOptions, TopicOutcome, create, plan};

use super::ConfigArgs;
use crate::service::{connection, topics};

/// How long the brokers may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Options of `credence topics`.
#[derive(Args, Debug)]
pub struct TopicsArgs {
    #[command(subcommand)]
    command: TopicsCommand,
}

#[derive(Subcommand, Debug)]
enum TopicsCommand {
    /// Create the topics that do not exist; existing ones are compared and never altered.
    Create(CreateArgs),
}

#[derive(Args, Debug)]
struct CreateArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Partitions of the topics of events, verdicts and log records. A user's state belongs to a
    /// partition: choose for years.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(i32).range(1..=10_000))]
    partitions: i32,
    /// Replicas of each partition; -1 leaves it to the cluster.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1..=100))]
    replication: i32,
}

impl TopicsArgs {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode> {
        let TopicsCommand::Create(args) = self.command;
        let Some(config) = args.config.read()? else { return Ok(ExitCode::SUCCESS) };
        if args.replication == 0 {
            bail!("--replication 0: allowed are -1 (the cluster's default) and 1 to 100");
        }
        let options =
            PlanOptions { partitions: args.partitions, replication: args.replication, ..PlanOptions::default() };
        let reports = create(&connection(&config), &plan(&topics(&config), &options), TIMEOUT)?;
        let mut failed = false;
        for report in reports {
            match report.outcome {
                TopicOutcome::Created => println!("{}: created", report.name),
                TopicOutcome::Exists(differences) if differences.is_empty() => {
                    println!("{}: exists, as wanted", report.name);
                }
                TopicOutcome::Exists(differences) => {
                    println!("{}: exists and was left as it is", report.name);
                    for difference in differences {
                        println!("  {}: {}, and {} is wanted", difference.setting, difference.found, difference.wanted);
                    }
                }
                TopicOutcome::Failed(why) => {
                    eprintln!("{}: failed: {why}", report.name);
                    failed = true;
                }
            }
        }
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
