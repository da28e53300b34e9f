//! `credence run`: the stream processor.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use super::ConfigArgs;
use crate::config::{Config, LogFormat};
use crate::service::Service;

/// How often the end of a worker is looked for beside signals.
const LOOK: Duration = Duration::from_millis(100);

/// Options of `credence run`.
#[derive(Args, Debug)]
pub struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

impl RunArgs {
    /// Runs until a signal or an error ends it.
    pub fn run(self) -> Result<ExitCode> {
        let Some(config) = self.config.read()? else { return Ok(ExitCode::SUCCESS) };
        start_tracing(&config);
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).context("signals cannot be received")?;
        // The start may wait for brokers, with nothing under way yet that would have to be finished.
        let starting = Arc::new(AtomicBool::new(true));
        for signal in [SIGTERM, SIGINT] {
            flag::register_conditional_shutdown(signal, 0, starting.clone()).context("signals cannot be received")?;
        }
        let mut service = Service::start(config)?;
        starting.store(false, Ordering::Relaxed);
        tracing::info!(address = %service.admin.address(), "serving /metrics, /livez, /readyz and /startupz");
        loop {
            for signal in signals.pending() {
                if signal == SIGHUP {
                    service.reload();
                } else {
                    tracing::info!(signal, "stopping");
                    return Ok(service.stop());
                }
            }
            if service.running.wait_for_end(LOOK) {
                return Ok(service.stop());
            }
        }
    }
}

/// Log lines to standard error, as text (in colour on a terminal only) or JSON.
fn start_tracing(config: &Config) {
    let level = config.log_level.parse().unwrap_or(tracing::Level::INFO);
    let colour = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_ansi(colour);
    match config.log_format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
}
