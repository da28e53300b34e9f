//! The harness against real Kafka: what it starts answers, and nothing is left behind.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kafka_harness::{HarnessError, Kafka};

fn answers(kafka: &Kafka) -> bool {
    TcpStream::connect(kafka.bootstrap_servers()).is_ok()
}

/// A zombie counts as gone: it only waits for its parent to look.
fn runs(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().starts_with(" Z"))
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(20), "waited for: {what}");
        std::thread::yield_now();
    }
}

fn folder_of(kafka: &Kafka) -> PathBuf {
    kafka.log_path().parent().unwrap().to_owned()
}

#[test]
fn stop_kill_and_start_again_keep_address_and_data() {
    let begin = Instant::now();
    let Some(mut kafka) = Kafka::builder().heap_mb(384).property("num.io.threads", "3").start_or_skip() else {
        return;
    };
    println!("first start of Kafka {}: {:?}", kafka.version(), begin.elapsed());
    let address = kafka.bootstrap_servers().to_owned();
    let folder = folder_of(&kafka);
    let first = kafka.pid().unwrap();
    assert!(answers(&kafka) && runs(first));
    assert!(matches!(kafka.start_again(), Err(HarnessError::AlreadyRunning)));
    let properties = std::fs::read_to_string(folder.join("server.properties")).unwrap();
    assert!(properties.contains("num.io.threads=3\n"));

    kafka.kill().unwrap();
    assert!(!runs(first) && !answers(&kafka) && kafka.pid().is_none());
    kafka.kill().unwrap();

    // The builder chooses other ports when it reads this; a broker with data must not.
    let thief = TcpListener::bind(&address).unwrap();
    let refused = kafka.start_again().unwrap_err().to_string();
    assert!(refused.contains("Address already in use"), "{refused}");
    drop(thief);

    let begin = Instant::now();
    kafka.start_again().unwrap();
    println!("start after SIGKILL: {:?}", begin.elapsed());
    assert!(answers(&kafka));

    let begin = Instant::now();
    kafka.stop().unwrap();
    println!("stop by SIGTERM: {:?}", begin.elapsed());
    assert!(!answers(&kafka));
    let begin = Instant::now();
    kafka.restart().unwrap();
    println!("start after SIGTERM: {:?}", begin.elapsed());
    assert!(answers(&kafka));
    assert_eq!(kafka.bootstrap_servers(), address);
    assert!(folder.join("data/meta.properties").exists());

    let last = kafka.pid().unwrap();
    drop(kafka);
    assert!(!runs(last), "the broker outlived its owner");
    assert!(!folder.exists(), "the folder outlived its owner");
}

#[test]
fn a_broker_that_cannot_start_says_why() {
    match Kafka::builder().property("num.io.threads", "none").start() {
        Err(error) if error.is_unavailable() => {}
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains("num.io.threads"), "{text}");
        }
        Ok(_) => panic!("started with a nonsensical property"),
    }
}

#[test]
fn a_shared_broker_is_the_same_for_all() {
    let Some(one) = kafka_harness::shared() else {
        return;
    };
    let other = std::thread::spawn(kafka_harness::shared).join().unwrap();
    assert_eq!(one.pid(), other.unwrap().pid());
}

/// Run by the test below in a process of its own; does nothing otherwise.
#[test]
fn victim() {
    if std::env::var_os("KAFKA_HARNESS_VICTIM").is_none() {
        return;
    }
    let Some(kafka) = kafka_harness::shared() else {
        return;
    };
    println!("\nbroker {} {}", kafka.pid().unwrap(), folder_of(kafka).display());
    loop {
        std::thread::park();
    }
}

#[test]
fn an_owner_killed_by_sigkill_leaves_nothing() {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--nocapture"])
        .env("KAFKA_HARNESS_VICTIM", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let line = BufReader::new(owner.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("broker ").map(str::to_owned));
    owner.kill().unwrap();
    owner.wait().unwrap();
    // No line: the victim was skipped, and said so itself.
    let Some(line) = line else { return };
    let (pid, folder) = line.split_once(' ').unwrap();
    let pid = pid.parse().unwrap();
    wait_for("the broker to end", || !runs(pid));
    wait_for("its folder to go", || !Path::new(folder).exists());
}

#[test]
fn skipping_is_loud_and_fails_in_ci() {
    // An empty folder as JAVA_HOME is a machine without Java.
    let nowhere = tempfile::tempdir().unwrap();
    let run = |ci: &str| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_shared_broker_is_the_same_for_all"])
            .env("JAVA_HOME", nowhere.path())
            .env("CI", ci)
            .output()
            .unwrap()
    };
    let skipped = run("false");
    let stderr = String::from_utf8_lossy(&skipped.stderr);
    assert!(skipped.status.success());
    assert!(stderr.contains("SKIPPED: Kafka test a_shared_broker_is_the_same_for_all: no Java"), "{stderr}");
    assert!(!run("true").status.success());
}
