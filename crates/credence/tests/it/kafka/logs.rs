//! `credence logs` on the topic: while records arrive, afterwards, and one of them.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::thread;

use rustix::process::Signal;
use serde_json::Value;
use sim::Labelled;
use stream::feed::{FeedRecord, Feeder};

use super::Stage;
use crate::instance::{Instance, PATIENCE, send, until};
use crate::lab::traffic;
use crate::program;

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

#[test]
fn records_are_followed_while_they_arrive_and_found_afterwards() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let stage = Stage::new(kafka, "tenant-logs", "");
    let events: Vec<Labelled> = traffic(11, 2_000).collect();
    let half = events.len() / 2;
    let count_of_half = stage.lab.score(&events[..half]).logs.len();
    let logs = stage.lab.score(&events).logs;
    let mut wanted: Vec<String> = logs.into_iter().map(|line| String::from_utf8(line).unwrap()).collect();
    wanted.sort();

    let instance = Instance::start(&stage.lab, &[]);
    let mut command = stage.lab.command(&["logs", "--follow", "--format", "json"], &[]);
    let mut follow = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(follow.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(said.next().unwrap(), "credence: following tenant-logs-logs, 4 partitions");
    let (lines, followed) = channel();
    let stdout = BufReader::new(follow.stdout.take().unwrap());
    let reader = thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));

    // The second half is written when all of the first has been shown.
    let mut seen: Vec<String> = Vec::new();
    for (part, count) in [(&events[..half], count_of_half), (&events[half..], wanted.len())] {
        stage.feeder().send_all(part);
        while seen.len() < count {
            seen.push(followed.recv_timeout(PATIENCE).expect("a record that is followed"));
        }
    }
    seen.sort();
    assert!(seen == wanted, "each record once, with its bytes");
    drop(instance);

    // What cannot be read, and what its header says to be MessagePack.
    let another = parsed(&wanted[0]);
    let packed = rmp_serde::to_vec_named(&another).unwrap();
    let (topic, feeder) = (stage.topic("logs"), Feeder::new(&stage.connection).unwrap());
    let headers: &[(&str, &[u8])] = &[("content-type", b"application/msgpack")];
    for (payload, headers) in [(&b"{nonsense"[..], &[][..]), (&packed, headers)] {
        let partition = Some(2);
        feeder
            .send(FeedRecord { topic: &topic, payload: Some(payload), headers, partition, ..Default::default() })
            .unwrap();
    }
    feeder.flush(PATIENCE).unwrap();
    assert_eq!(parsed(&followed.recv_timeout(PATIENCE).unwrap()), another);
    let named = said.next().unwrap();
    assert!(named.starts_with("credence: tenant-logs-logs, partition 2, offset "), "{named}");
    assert!(named.contains(": it is not JSON: "), "{named}");

    send(&follow, Signal::INT);
    let ended = until("the end after an interrupt", || follow.try_wait().unwrap());
    assert_eq!(ended.code(), Some(2), "a record could not be read");
    assert_eq!(said.next().unwrap(), "credence: 1 record could not be read");
    reader.join().unwrap().unwrap();

    // What is there now, in the order of time. These logins are made up: none is of the last hour.
    let run = |args: &[&str]| program::run(stage.lab.command(&["logs"], &[]).args(args), b"");
    let all = run(&["--format", "json", "--since", "2020-01-01T00:00:00Z"]);
    assert_eq!(all.status, Some(2), "{}", all.stderr);
    let times: Vec<Value> = all.stdout.lines().map(|line| parsed(line)["data"]["date"].clone()).collect();
    assert_eq!(times.len(), wanted.len() + 1);
    assert!(times.iter().map(|time| time.as_str().unwrap()).is_sorted(), "in the order of time");
    assert_eq!(run(&[]).stdout, "");

    // One of them, told from the topic as it is from a file.
    let challenge = wanted.iter().map(|line| parsed(line)).find(|record| record["data"]["type"] == "mfar").unwrap();
    let id = challenge["log_id"].as_str().unwrap();
    let told = run(&["--explain", id]).stdout;
    assert!(told.contains("\nWhat became of it\n"), "{told}");
    assert_eq!(told, run(&["--explain", id, "logs.jsonl"]).stdout);
}
