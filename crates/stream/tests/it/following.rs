//! Reading along a topic and writing to it with an answer, on real Kafka.

use std::time::Duration;

use rdkafka::producer::{BaseRecord, Producer};
use stream::Error;
use stream::feed::{FeedRecord, Feeder};
use stream::tail::{From, Isolation, Tail};

use crate::support::{Case, PATIENCE, text, wait_until};

/// A topic of one partition, of the settings' kind.
fn case(kafka: &kafka_harness::Kafka, name: &str) -> Case {
    let case = Case::new(kafka.bootstrap_servers(), name);
    case.create_topics(1, |_| ());
    case
}

fn write(case: &Case, feeder: &Feeder, payload: &str, timestamp_ms: Option<i64>) -> (i32, i64) {
    let topic = &case.config.topics.settings;
    let payload = Some(payload.as_bytes());
    let record = FeedRecord { topic, key: Some(b"tenant"), payload, timestamp_ms, ..FeedRecord::default() };
    feeder.send_and_wait(record, PATIENCE).unwrap()
}

fn follow(case: &Case, from: From) -> Tail {
    Tail::new(&case.config.connection, &case.config.topics.settings, from, Isolation::Committed).unwrap()
}

/// What is read until everything that was there at the start has been.
fn catch_up(tail: &mut Tail) -> Vec<i64> {
    let mut offsets = Vec::new();
    wait_until("it is caught up", || {
        if !tail.is_caught_up() {
            offsets.extend(tail.next(Duration::from_millis(50)).unwrap().map(|record| record.offset));
        }
        tail.is_caught_up()
    });
    offsets
}

#[test]
fn reading_starts_anywhere_and_says_when_it_has_caught_up() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let case = case(kafka, "follow");
    let feeder = case.feeder();
    assert!(follow(&case, From::Beginning).is_caught_up(), "there was nothing");
    // The last but one is older than the one before it.
    for (offset, time) in [1_000, 2_000, 4_000, 3_000, 5_000].into_iter().enumerate() {
        let place = write(&case, &feeder, &format!("{time}"), Some(time));
        assert_eq!(place, (0, i64::try_from(offset).unwrap()));
    }
    let table: [(From, &[i64]); 12] = [
        (From::Beginning, &[0, 1, 2, 3, 4]),
        (From::End, &[]),
        (From::Offset(-7), &[0, 1, 2, 3, 4]),
        (From::Offset(3), &[3, 4]),
        (From::Offset(5), &[]),
        (From::Offset(500), &[]),
        (From::Time(i64::MIN), &[0, 1, 2, 3, 4]),
        (From::Time(-1), &[0, 1, 2, 3, 4]),
        (From::Time(1_001), &[1, 2, 3, 4]),
        (From::Time(2_500), &[2, 3, 4]),
        (From::Time(5_000), &[4]),
        (From::Time(5_001), &[]),
    ];
    let mut tails: Vec<Tail> = table.iter().map(|(from, _)| follow(&case, *from)).collect();
    for (tail, (from, due)) in tails.iter_mut().zip(table) {
        assert_eq!(tail.ends().iter().map(|(of, end)| (*of, *end)).collect::<Vec<_>>(), [(0, 5)], "{from:?}");
        assert_eq!(catch_up(tail), due, "{from:?}");
    }
    // All of them go on from there, and stay caught up.
    write(&case, &feeder, "next", None);
    for (tail, (from, _)) in tails.iter_mut().zip(table) {
        let next = tail.next(PATIENCE).unwrap().unwrap();
        assert_eq!((next.offset, text(next.payload.as_deref())), (5, "next"), "{from:?}");
        assert!(tail.is_caught_up(), "{from:?}");
    }
}

#[test]
fn what_nobody_is_shown_at_the_end_does_not_keep_a_reader_from_catching_up() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let case = case(kafka, "follow-markers");
    let producer = case.transactional("follow-markers");
    for commit in [true, false] {
        producer.begin_transaction().unwrap();
        producer.send(BaseRecord::to(&case.config.topics.settings).key("tenant").payload("1")).unwrap();
        producer.flush(PATIENCE).unwrap();
        if commit {
            producer.commit_transaction(PATIENCE).unwrap();
        } else {
            producer.abort_transaction(PATIENCE).unwrap();
        }
    }
    let mut tail = follow(&case, From::Beginning);
    assert_eq!(tail.ends()[&0], 4);
    assert_eq!(catch_up(&mut tail), [0]);
}

#[test]
fn a_reader_and_a_writer_survive_an_outage() {
    let Some(mut kafka) = kafka_harness::Kafka::builder().start_or_skip() else { return };
    let case = case(&kafka, "follow-outage");
    let feeder = case.feeder();
    write(&case, &feeder, "before", None);
    let mut tail = follow(&case, From::Beginning);
    assert_eq!(catch_up(&mut tail), [0]);

    kafka.kill().unwrap();
    let topic = &case.config.topics.settings;
    let (key, payload) = (Some(&b"tenant"[..]), Some(&b"meanwhile"[..]));
    let record = FeedRecord { topic, key, payload, ..FeedRecord::default() };
    let error = feeder.send_and_wait(record, Duration::from_secs(2)).unwrap_err();
    assert!(matches!(error, Error::NotAcknowledged { left: 1, .. }), "{error}");
    assert_eq!(tail.next(Duration::from_secs(2)).unwrap(), None);
    kafka.start_again().unwrap();

    // Nobody knew whether it would be; it is, and in its place.
    let place = write(&case, &feeder, "after", None);
    assert_eq!(place, (0, 2));
    for (offset, due) in [(1, "meanwhile"), (2, "after")] {
        let record = tail.next(PATIENCE).unwrap().unwrap();
        assert_eq!((record.offset, text(record.payload.as_deref())), (offset, due));
    }
    assert_eq!(feeder.flush(PATIENCE).unwrap(), 3);
}

#[test]
fn a_record_that_is_refused_is_an_error_of_its_own() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let case = case(kafka, "follow-refused");
    let feeder = case.feeder();
    let payload: Vec<u8> = (0..2 << 20).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let topic = &case.config.topics.settings;
    let record = FeedRecord { topic, payload: Some(&payload), ..FeedRecord::default() };
    let error = feeder.send_and_wait(record, PATIENCE).unwrap_err();
    assert!(matches!(&error, Error::Write { topic: of, .. } if of == topic), "{error}");
    // It was told to who asked, and to nobody else.
    assert_eq!(feeder.flush(PATIENCE).unwrap(), 0);
    assert_eq!(write(&case, &feeder, "small", None), (0, 0));
}
