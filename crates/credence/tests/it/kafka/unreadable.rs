//! Records that are no login events, and records that came the wrong way: none stops the stream, none is
//! dropped.

use std::collections::HashMap;

use model::Unreadable;
use serde_json::{Value, json};
use sim::Labelled;
use stream::feed::FeedRecord;
use stream::partition_for;
use stream::tail::Record;

use super::{PARTITIONS, Stage, assert_end, await_answers, take};
use crate::instance::Instance;
use crate::lab::{Wanted, traffic};

#[test]
fn poison_among_good_events_goes_to_the_dead_letter_topic_byte_for_byte() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let stage = Stage::new(kafka, "poison", "");
    let events: Vec<Labelled> = traffic(7, 2_000).collect();
    let mut poison: Vec<Vec<u8>> = sim::poison(96).map(|poison| poison.bytes).collect();
    // As large as the topic takes: once well compressible, once not at all.
    poison.push(vec![b' '; (2 << 20) - 1024]);
    poison.push(noise((2 << 20) - 1024));

    let feeder = stage.feeder();
    for (at, event) in events.iter().enumerate() {
        feeder.send(event);
        if at % 20 == 10
            && let Some(bytes) = poison.get(at / 20)
        {
            // Each with a key and a header of its own, some of them without.
            let number = at.to_string();
            feeder.send_raw(FeedRecord {
                key: (at % 3 > 0).then_some(number.as_bytes()),
                payload: Some(bytes),
                headers: if at % 40 == 10 { &[("traceparent", b"00-11-22"), ("raw", b"\xff\x00")] } else { &[] },
                ..FeedRecord::default()
            });
        }
    }
    feeder.flush();

    let mut instance = Instance::start(&stage.lab, &[]);
    let (mut verdicts, mut dead) = (stage.tail("verdicts"), stage.tail("dead"));
    await_answers(&mut verdicts, &mut Wanted::of(&events));
    let letters = take(&mut dead, poison.len());
    let sources: HashMap<(i32, i64), Record> = take(&mut stage.tail("events"), events.len() + poison.len())
        .into_iter()
        .map(|record| ((record.partition, record.offset), record))
        .collect();
    let mut found: Vec<&[u8]> = Vec::new();
    let mut by_reason: HashMap<&str, usize> = HashMap::new();
    for letter in &letters {
        let number = |name: &str| letter.header(name).unwrap().parse::<i64>().unwrap();
        assert_eq!(letter.header("credence-source-topic"), Some(stage.topic("events").as_str()));
        let partition = i32::try_from(number("credence-source-partition")).unwrap();
        let source = &sources[&(partition, number("credence-source-offset"))];
        assert_eq!(Some(number("credence-source-timestamp")), source.timestamp_ms);
        assert!(letter.payload == source.payload && letter.key == source.key, "not byte for byte: {source:?}");
        // Its own headers first, then ours.
        assert!(letter.headers.starts_with(&source.headers), "{:?}", letter.headers);
        let reason = letter.header("credence-reason").unwrap();
        assert!(Unreadable::REASONS.contains(&reason), "{reason}");
        assert!(!letter.header("credence-detail").unwrap().is_empty());
        *by_reason.entry(reason).or_default() += 1;
        found.push(letter.payload.as_deref().unwrap());
    }
    let mut sent: Vec<&[u8]> = poison.iter().map(Vec::as_slice).collect();
    found.sort_unstable();
    sent.sort_unstable();
    assert!(found == sent, "the dead letters are not what was sent");
    for (reason, count) in by_reason {
        let label = format!("reason=\"{reason}\"");
        assert_eq!(instance.metric("credence_dead_letters_total", &[&label]), count as f64, "{reason}");
    }
    assert_eq!(instance.terminate().0, Some(0));
    assert_end(&mut dead);
}

/// Bytes that do not compress, the same in every run.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    })
    .take(length)
    .collect()
}

#[test]
fn records_without_value_or_key_and_on_the_wrong_partition() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let stage = Stage::new(kafka, "astray", "");
    let mut instance = Instance::start(&stage.lab, &[]);
    let feeder = stage.feeder();
    let own = partition_for(b"north.example/u1", PARTITIONS).unwrap();
    let event = |id: &str| {
        json!({"id": id, "time": "2026-01-05T08:00:00Z", "tenant": {"id": "north.example"}, "user": {"user_id": "u1"}})
            .to_string()
    };
    let (first, second, third) = (event("at-home"), event("astray"), event("keyless"));
    let key: Option<&[u8]> = Some(b"north.example/u1");
    let record = FeedRecord::default();
    feeder.send_raw(FeedRecord { key, payload: Some(first.as_bytes()), ..record });
    // On a partition that his key does not name.
    feeder.send_raw(FeedRecord {
        key,
        payload: Some(second.as_bytes()),
        partition: Some((own + 1) % PARTITIONS),
        ..record
    });
    // Without a key, which says nothing, on the partition that the content names.
    feeder.send_raw(FeedRecord { payload: Some(third.as_bytes()), partition: Some(own), ..record });
    // No value, with a key and without; no bytes.
    feeder.send_raw(FeedRecord { key, ..record });
    feeder.send_raw(FeedRecord { partition: Some(0), ..record });
    feeder.send_raw(FeedRecord { key, payload: Some(b""), ..record });
    feeder.flush();

    let mut answered = Vec::new();
    for record in take(&mut stage.tail("verdicts"), 3) {
        let verdict: Value = serde_json::from_slice(&record.payload.unwrap()).unwrap();
        // Wherever the event came from, its outputs lie where its tenant and user belong.
        assert_eq!((record.key.as_deref(), record.partition), (key, own));
        answered.push(verdict["event_id"].as_str().unwrap().to_owned());
    }
    answered.sort_unstable();
    assert_eq!(answered, ["astray", "at-home", "keyless"]);
    let mut dead: Vec<_> = take(&mut stage.tail("dead"), 3)
        .into_iter()
        .map(|letter| (letter.header("credence-reason").map(str::to_owned), letter.key, letter.payload))
        .collect();
    dead.sort_unstable();
    let empty = Some("empty".to_owned());
    let key = key.map(<[u8]>::to_vec);
    assert_eq!(dead, [(empty.clone(), None, None), (empty.clone(), key.clone(), None), (empty, key, Some(vec![]))]);
    assert_eq!(instance.metric("credence_misrouted_records_total", &[]), 1.0);
    assert_eq!(instance.metric("credence_dead_letters_total", &["reason=\"empty\""]), 3.0);
    assert_eq!(instance.terminate().0, Some(0));
}
