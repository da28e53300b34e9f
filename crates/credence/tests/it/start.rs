//! `credence run` where it cannot start: it says why, all of it at once, and ends.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::instance::{Instance, until};
use crate::lab::Lab;
use crate::program::{self, Ran};

/// Runs with these keys set, which has to end by itself.
fn run(lab: &Lab, sets: &[&str]) -> Ran {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let ran = program::run(&mut lab.command(&["run"], &sets), b"");
    assert_eq!(ran.status, Some(1), "{}", ran.stderr);
    ran
}

/// A listener in the place of a broker, to notice who connects.
fn nobody() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let brokers = format!("kafka.brokers={}", listener.local_addr().unwrap());
    (listener, brokers)
}

fn assert_nobody_came(listener: &TcpListener) {
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "it connected");
}

#[test]
fn every_error_of_the_configuration_is_told_at_once_and_nothing_is_connected_to() {
    let (broker, brokers) = nobody();
    let lab = Lab::new("[travel]\nfloor_km = \"far\"\nceiling_km = 7\n");
    let mut command = lab.command(&["run"], &[brokers]);
    command
        .args(["--set", "kafka.workers=0", "--set", "kafka.group=x", "--city", "/nowhere/city.mmdb"])
        .args(["--set", "kafka.properties.acks=0", "--set", "kafka.properties.linger.msec=1"])
        .env("CREDENCE_OUTPUT_ENCODING", "xml")
        .env("CREDENCE_KAFKA_WORKER", "3");
    let ran = program::run(&mut command, b"");
    assert_eq!(ran.status, Some(1), "{}", ran.stderr);
    let file = lab.path("credence.toml").display().to_string();
    for parts in [
        &[file.as_str(), "`travel.floor_km` = \"far\"", "allowed are"][..],
        &[&file, "unknown key `travel.ceiling_km`", "did you mean `travel."],
        &["option --set", "`kafka.workers` = \"0\"", "allowed are 1 to 64"],
        &["option --set", "unknown key `kafka.group`", "did you mean `kafka.group_id`?"],
        &["CREDENCE_OUTPUT_ENCODING", "`output.encoding` = \"xml\"", "allowed are json, msgpack"],
        &["CREDENCE_KAFKA_WORKER", "did you mean `CREDENCE_KAFKA_WORKERS`?"],
        &["/nowhere/city.mmdb"],
        &["properties.acks", "written idempotently"],
        &["properties.linger.msec"],
    ] {
        let told = |line: &&str| parts.iter().all(|part| line.contains(part));
        assert!(ran.stderr.lines().any(|line| told(&line)), "no line says {parts:?}:\n{}", ran.stderr);
    }
    assert!(ran.stderr.starts_with("credence: 9 errors in "), "{}", ran.stderr);
    assert_nobody_came(&broker);
}

#[test]
fn every_database_and_list_that_cannot_be_loaded_is_told_at_once() {
    let (broker, brokers) = nobody();
    let lab = Lab::new("");
    std::fs::write(lab.path("empty.txt"), "# nothing\n").unwrap();
    std::fs::write(lab.path("not-a-database.mmdb"), "<html>").unwrap();
    let mut command = lab.command(&["run"], &[brokers]);
    command
        .arg("--deny-list")
        .arg(format!("name=e,category=abuse,path={}", lab.path("empty.txt").display()))
        .arg("--asn")
        .arg(lab.path("not-a-database.mmdb"))
        .args(["--relay-list", "/nowhere/relays.csv"]);
    let ran = program::run(&mut command, b"");
    assert_eq!(ran.status, Some(1), "{}", ran.stderr);
    for part in ["empty.txt", "not-a-database.mmdb", "/nowhere/relays.csv"] {
        assert!(ran.stderr.contains(part), "{part} is not told of:\n{}", ran.stderr);
    }
    assert_nobody_came(&broker);
}

#[test]
fn an_admin_port_that_is_taken_is_told_before_anything_is_connected_to() {
    let (broker, brokers) = nobody();
    let (taken, _) = nobody();
    let address = taken.local_addr().unwrap().to_string();
    let ran = run(&Lab::new(""), &[&brokers, &format!("admin.listen={address}")]);
    for part in [address.as_str(), "admin.listen", "in use"] {
        assert!(ran.stderr.contains(part), "{part} is not told:\n{}", ran.stderr);
    }
    assert_nobody_came(&broker);
}

#[test]
fn a_broker_that_does_not_answer_ends_the_start_in_time() {
    // A port that was free a moment ago: connections are refused.
    let (gone, brokers) = nobody();
    drop(gone);
    let begin = Instant::now();
    let ran = run(&Lab::new(""), &[&brokers]);
    // The limit of a start is 30 seconds.
    let took = begin.elapsed();
    assert!((Duration::from_secs(20)..Duration::from_secs(60)).contains(&took), "{took:?}");
    let address = brokers.strip_prefix("kafka.brokers=").unwrap();
    let last = ran.stderr.lines().last().unwrap();
    for part in ["credence: no answer from the brokers", address, "check the address"] {
        assert!(last.contains(part), "{part} is not told: {last}");
    }
}

#[test]
fn sigterm_ends_a_start_that_waits_for_brokers() {
    let (broker, brokers) = nobody();
    let lab = Lab::new("");
    let mut instance = Instance::spawn(&lab, &[brokers]);
    // It has got as far as connecting, and nobody will ever answer.
    let _silent = until("a connection", || broker.accept().ok());
    let (status, took) = instance.terminate();
    assert_eq!(status, Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn log_lines_that_are_not_for_a_terminal_have_no_colours() {
    let (gone, _) = nobody();
    let taken = format!("admin.listen={}", gone.local_addr().unwrap());
    let ran = run(&Lab::new(""), &[&taken, "log.format=text"]);
    assert!(ran.stderr.contains(" WARN "), "{}", ran.stderr);
    assert!(!ran.stderr.contains('\u{1b}'), "{:?}", ran.stderr);
}

#[test]
fn missing_topics_are_told_with_the_command_that_makes_them() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let lab = Lab::new("[topics]\nevents = \"absent-events\"\nverdicts = \"absent-verdicts\"\n");
    let brokers = format!("kafka.brokers={}", kafka.bootstrap_servers());
    let begin = Instant::now();
    let ran = run(&lab, &[&brokers]);
    // Known soon: a topic that has just been made is waited for, for two seconds.
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    let last = ran.stderr.lines().last().unwrap();
    for part in [
        "absent-events",
        "absent-verdicts",
        "tenant-logs",
        "login-events-dead",
        "tenant-settings",
        "credence topics create",
    ] {
        assert!(last.contains(part), "{part} is not told: {last}");
    }
}
