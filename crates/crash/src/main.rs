//! The command: see [`crash::Options`].

use std::process::ExitCode;

use clap::Parser as _;
use crash::{CrashError, Options, Report};
use kafka_harness::Kafka;

/// Exit status when the run could not be finished.
const NOT_FINISHED: u8 = 2;

fn main() -> ExitCode {
    let options = Options::parse();
    match judged(&options) {
        Ok(report) => {
            println!("{report}");
            if report.failures().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("crash: {error}");
            ExitCode::from(NOT_FINISHED)
        }
    }
}

fn judged(options: &Options) -> Result<Report, CrashError> {
    let kafka = Kafka::builder().start()?;
    let report = crash::run(options, kafka)?;
    if let Some(path) = &options.json {
        std::fs::write(path, report.to_json() + "\n").map_err(|source| CrashError::Io {
            action: "write",
            path: path.clone(),
            source,
        })?;
    }
    Ok(report)
}
