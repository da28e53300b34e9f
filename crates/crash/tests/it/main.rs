//! The short form of the crash run, on real Kafka. Without Java or Maven it says that it was skipped; with
//! `CI=true` that is a failure.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::Parser as _;
use crash::Options;
use kafka_harness::Kafka;
use serde_json::Value;

#[test]
fn nothing_is_lost_or_twice_whatever_is_killed() {
    let Some(kafka) = Kafka::builder().start_or_skip() else { return };
    let mut options = Options::parse_from(["crash"]);
    // Another one can be asked for, to go after a failure.
    if let Ok(seed) = std::env::var("CRASH_SEED") {
        options.seed = seed.parse().unwrap();
    }
    options.binary = Some(credence());
    assert!(options.events >= 200_000 && options.kills >= 20 && options.rebalances >= 5);
    assert!(options.broker_restarts >= 1);
    let report = crash::run(&options, kafka).unwrap();
    println!("{report}");
    assert!(report.failures().is_empty(), "{:#?}, see {:?}", report.failures(), report.kept);
}

/// The program under test, built with the profile of this test. Cargo tells tests of the binaries of their
/// own package only.
fn credence() -> PathBuf {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--package", "credence", "--message-format", "json-render-diagnostics"]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).stderr(Stdio::inherit()).output().unwrap();
    assert!(built.status.success(), "`cargo build --package credence` failed: {}", built.status);
    let messages = built.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut executables = messages.filter_map(|line| {
        let message: Value = serde_json::from_slice(line).unwrap();
        Some(PathBuf::from(message["executable"].as_str()?))
    });
    executables.next_back().expect("cargo tells where it put the executable")
}
