//! Outputs that their topics do not take, on real Kafka.

use std::time::Duration;

use stream::WorkerError;
use stream::feed::{FeedRecord, Feeder};

use crate::support::{Case, PATIENCE, stop_cleanly, wait_until};

fn send(case: &Case, feeder: &Feeder, key: Option<&[u8]>, payload: &[u8]) {
    let topic = &case.config.topics.events;
    feeder.send(FeedRecord { topic, key, payload: Some(payload), ..FeedRecord::default() }).unwrap();
    feeder.flush(PATIENCE).unwrap();
}

#[test]
fn a_dead_letter_of_16_mib_goes_out_byte_for_byte() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let case = Case::new(kafka.bootstrap_servers(), "large");
    case.create_topics(1, |specs| {
        specs[0].settings.insert("max.message.bytes".to_owned(), (17 << 20).to_string());
    });
    let mut config = case.config.clone();
    config.connection.properties.insert("compression.codec".to_owned(), "none".to_owned());
    let case = Case { config, ..case };
    let mut payload = b"dead".to_vec();
    payload.extend((0..16 << 20).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8));
    payload.truncate(16 << 20);
    let feeder = case.feeder();
    send(&case, &feeder, None, &payload);
    let running = case.start();
    let letters = case.read(&case.config.topics.dead, 1);
    assert!(letters[0].payload.as_deref() == Some(&payload[..]));
    assert_eq!(letters[0].header("credence-cut"), None);
    assert_eq!(case.metric("credence_dead_letters_cut_total"), 0.0);
    stop_cleanly(running);
}

#[test]
fn a_dead_letter_that_is_too_large_is_cut() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let case = Case::new(kafka.bootstrap_servers(), "cut");
    case.create_topics(1, |specs| {
        specs[3].settings.insert("max.message.bytes".to_owned(), "100000".to_owned());
    });
    let mut config = case.config.clone();
    config.connection.properties.insert("compression.codec".to_owned(), "none".to_owned());
    let case = Case { config, ..case };
    let mut payload = vec![b'x'; 300_000];
    payload[..4].copy_from_slice(b"dead");
    let feeder = case.feeder();
    send(&case, &feeder, Some(&[b'k'; 5_000]), &payload);
    send(&case, &feeder, Some(b"key"), b"dead, and small");
    let running = case.start();
    let mut letters = case.read(&case.config.topics.dead, 2);
    assert_eq!(letters.len(), 2);
    letters.sort_by_key(|letter| letter.payload.as_ref().map(Vec::len));
    assert_eq!(letters[0].payload.as_deref(), Some(&b"dead, and small"[..]));
    let cut = &letters[1];
    assert_eq!(cut.payload.as_deref(), Some(&payload[..64 << 10]));
    assert_eq!(cut.key.as_deref(), Some(&[b'k'; 1024][..]));
    assert_eq!(cut.header("credence-reason"), Some("asked"));
    assert_eq!(
        cut.header("credence-cut"),
        Some("key 1024 of 5000 bytes, payload 65536 of 300000 bytes, original headers dropped")
    );
    wait_until("both are committed", || case.committed(1)[&0] == 2);
    // Once at 512 KiB, which changed nothing, and once at 64 KiB.
    assert_eq!(case.metric("credence_dead_letters_cut_total"), 2.0);
    stop_cleanly(running);
}

#[test]
fn a_refused_verdict_stops_the_worker_before_its_commit() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let case = Case::new(kafka.bootstrap_servers(), "refused");
    case.create_topics(1, |specs| {
        specs[1].settings.insert("max.message.bytes".to_owned(), "2000".to_owned());
    });
    let mut config = case.config.clone();
    config.connection.properties.insert("compression.codec".to_owned(), "none".to_owned());
    let case = Case { config, ..case };
    let feeder = case.feeder();
    let mut running = case.start_ready();
    case.feed(&feeder, 0, 1, 1);
    wait_until("the first record is committed", || case.committed(1)[&0] == 1);
    send(&case, &feeder, Some(b"key-0"), &[b'x'; 5_000]);
    assert!(running.wait_for_end(PATIENCE));
    let summary = running.stop();
    let Some(WorkerError::Undelivered { output, topic, advice, .. }) = &summary.workers[0].error else {
        panic!("{summary:?}")
    };
    assert_eq!((*output, topic), ("verdict", &case.config.topics.verdicts));
    assert!(advice.contains("max.message.bytes"), "{advice}");
    assert_eq!(case.committed(1)[&0], 1);
    assert_eq!(case.metric_with("credence_producer_errors_total", "size"), 1.0);
}

#[test]
fn health_tells_life_from_readiness() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let case = Case::new(kafka.bootstrap_servers(), "health");
    case.create_topics(1, |_| ());
    let running = case.start_ready();
    let health = running.health();
    assert!(health.is_live(Duration::from_secs(5)));
    assert_eq!(health.failure(), None);
    stop_cleanly(running);
    assert!(health.is_live(Duration::ZERO) && !health.is_ready());
}
