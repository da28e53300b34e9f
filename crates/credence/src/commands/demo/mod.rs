//! `credence demo`: the whole main job on one machine, with nothing to install: an embedded broker,
//! embedded data, made-up logins with attacks among them, real consumers and producers.

mod report;
mod scene;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use scene::Scene;

/// Logins at the end that are sent one by one at an even rate, so that their latency means something.
const PACED_EVENTS: usize = 1500;
/// How many of them in a second.
const PACED_RATE: u32 = 1000;

/// Options of `credence demo`.
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Scored logins to make.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1000..=2_000_000))]
    logins: u64,
    /// The same seed makes the same logins.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Settings documents of tenants: JSON lines or a JSON array. The tenants of the demo are named in its answers.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Stay up afterwards, to look at /metrics and the topics.
    #[arg(long)]
    keep: bool,
}

impl DemoArgs {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode> {
        let began = Instant::now();
        let mut signals = Signals::new([SIGTERM, SIGINT]).context("signals cannot be received")?;
        println!("Credence scores logins for risk. This demo makes up logins, attacks among them, and sends them");
        println!("through an embedded Kafka broker: producer -> login-events -> credence -> login-verdicts.\n");
        let step = |text: &str| println!("  {:>4.1} s  {text}", began.elapsed().as_secs_f64());

        let mut scene = Scene::start(self.seed, self.logins, self.settings.as_deref())?;
        step("broker, topics, data and one worker are up");
        if self.settings.is_some() {
            let (known, all) = scene.tenants_with_settings();
            step(&format!(
                "{} of the demo's tenants have settings of their own; its tenants are {}",
                known,
                all.join(", ")
            ));
        }
        scene.make_expectations()?;
        step(&format!("{} events made, and scored once without Kafka for comparison", scene.events.len()));
        scene.wait_until_ready()?;
        step("the worker owns its partitions");

        let bar = ProgressBar::new(scene.events.len() as u64);
        if let Ok(style) = ProgressStyle::with_template("  {elapsed:>4}  {wide_bar} {pos}/{len} answered") {
            bar.set_style(style);
        }
        let outcome = scene.send_and_collect(PACED_EVENTS, PACED_RATE, |answered| bar.set_position(answered))?;
        bar.finish_and_clear();
        step("every login is answered\n");

        report::print(&scene, &outcome);
        let faults = scene.check(&outcome);
        if !faults.is_empty() {
            for fault in &faults {
                eprintln!("WRONG: {fault}");
            }
            anyhow::bail!("{} counts of the demo do not add up; please report this", faults.len());
        }
        println!("\nAll counts add up, and every verdict equals, byte for byte, the one computed without Kafka.");

        println!("Metrics:  http://{}/metrics", scene.service.admin.address());
        println!("Broker:   {} (topics {})", scene.brokers(), scene.topic_names().join(", "));
        if self.keep {
            println!("Try:      kcat -b {} -t tenant-logs -o beginning -e | head", scene.brokers());
            println!("Staying up until Ctrl-C.");
            while signals.pending().next().is_none() {
                if scene.service.running.wait_for_end(Duration::from_millis(100)) {
                    break;
                }
            }
        } else {
            println!("Both are gone when this ends; `demo --keep` keeps them up.");
        }
        Ok(scene.stop())
    }
}
