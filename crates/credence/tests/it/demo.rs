//! `credence demo`: what a newcomer sees.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::Stdio;

use tempfile::TempDir;

use crate::instance::{get, terminate};
use crate::program;

#[test]
fn the_demo_shows_the_main_job_and_stays_up_when_asked_to() {
    let folder = TempDir::new().unwrap();
    let mut command = program::credence(folder.path());
    command.args(["demo", "--logins", "2000", "--keep"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut demo = command.spawn().unwrap();
    let mut text = String::new();
    for line in BufReader::new(demo.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        text.push_str(&line);
        text.push('\n');
        if line.contains("Staying up") {
            break;
        }
    }
    for part in [
        // The way of a login, the confidences, attacks caught and missed, three logins with evidence.
        "login-events -> credence -> login-verdicts",
        "confidence   high ",
        "genuine ",
        "attacks ",
        " asked for a second factor",
        "A genuine user on his own device: ",
        "An attack that was caught: ",
        "An attack that was not caught: ",
        "Together: low, so the decision is challenge (confidence_low).",
        // Speed, and where to look.
        "p50 ",
        "p99 ",
        "32 unreadable records in the dead-letter topic",
        "All counts add up",
        "kcat -b 127.0.0.1:",
        "Staying up",
    ] {
        assert!(text.contains(part), "{part:?} is not shown:\n{text}");
    }
    let metrics = text.split("http://").nth(1).unwrap().split("/metrics").next().unwrap();
    let address: SocketAddr = metrics.parse().unwrap();
    let (status, metrics) = get(address, "/metrics");
    assert_eq!(status, 200);
    assert!(metrics.contains("\ncredence_verdicts_total{confidence=\"high\"} "), "{metrics}");
    assert_eq!(get(address, "/readyz").0, 200);
    assert_eq!(terminate(&mut demo), Some(0));
}

#[test]
fn the_demo_ends_by_itself_and_is_the_same_for_the_same_seed() {
    let folder = TempDir::new().unwrap();
    let run = |seed: &str| {
        let ran =
            program::run(program::credence(folder.path()).args(["demo", "--logins", "1000", "--seed", seed]), b"");
        assert_eq!(ran.status, Some(0), "{}{}", ran.stdout, ran.stderr);
        // Times and addresses differ.
        let counts = ran.stdout.lines().filter(|line| line.contains(" asked for a second factor"));
        counts.map(str::to_owned).collect::<Vec<_>>()
    };
    let first = run("7");
    assert_eq!(first.len(), 2);
    assert_eq!(first, run("7"));
    assert_ne!(first, run("8"));
}

#[test]
fn a_demo_out_of_bounds_is_refused() {
    let folder = TempDir::new().unwrap();
    let ran = program::run(program::credence(folder.path()).args(["demo", "--logins", "10"]), b"");
    assert_ne!(ran.status, Some(0));
    assert!(ran.stderr.contains("1000..=2000000"), "{}", ran.stderr);
}
