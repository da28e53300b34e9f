//! What goes in comes out: once, in order, with the bytes that `credence score` writes.

use serde_json::Value;
use sim::Labelled;
use stream::feed::FeedRecord;

use super::{Stage, as_read, assert_end, assert_same, by_partition, take};
use crate::instance::{Instance, until};
use crate::lab::traffic;

#[test]
fn a_hundred_thousand_events_are_answered_once_in_order_and_as_score_does() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let stage = Stage::new(kafka, "delivery", "");
    let events: Vec<Labelled> = traffic(1, 100_000).take(100_000).collect();
    assert_eq!(events.len(), 100_000);
    let mut instance = Instance::start(&stage.lab, &[]);
    stage.feeder().send_all(&events);

    let wanted = stage.lab.score(&events);
    let (mut verdicts, mut logs) = (stage.tail("verdicts"), stage.tail("logs"));
    // Both outputs of a user lie on the partition that his key names, in the order of his events.
    assert_same("verdicts", &as_read(take(&mut verdicts, wanted.verdicts.len())), &by_partition(&wanted.verdicts));
    assert_same("log records", &as_read(take(&mut logs, wanted.logs.len())), &by_partition(&wanted.logs));

    // Acknowledgements may be counted a moment after the records can be read.
    until("the last acknowledgement", || (instance.metric("credence_in_flight_outputs", &[]) == 0.0).then_some(()));
    for (metric, label, count) in [
        ("credence_records_consumed_total", "", events.len()),
        ("credence_events_total", "", events.len()),
        ("credence_verdicts_total", "", wanted.verdicts.len()),
        ("credence_records_produced_total", "output=\"verdict\"", wanted.verdicts.len()),
        ("credence_records_produced_total", "output=\"log\"", wanted.logs.len()),
        ("credence_append_to_verdict_seconds_count", "", wanted.verdicts.len()),
        ("credence_log_records_total", "", wanted.logs.len()),
        ("credence_dead_letters_total", "", 0),
        ("credence_misrouted_records_total", "", 0),
    ] {
        assert_eq!(instance.metric(metric, &[label]), count as f64, "{metric} {label}");
    }
    assert_eq!(instance.terminate().0, Some(0));
    assert_end(&mut verdicts);
    assert_end(&mut logs);
}

#[test]
fn messagepack_in_and_out_says_what_json_says() {
    let Some(kafka) = kafka_harness::shared() else { return };
    let stage = Stage::new(kafka, "msgpack", "");
    let packed = Stage::new(kafka, "msgpack-out", "[output]\nencoding = \"msgpack\"\n");
    let events: Vec<Labelled> = traffic(2, 2_000).collect();
    let feeder = stage.feeder();
    for (at, event) in events.iter().enumerate() {
        let value: Value = serde_json::from_slice(&event.event).unwrap();
        let bytes = rmp_serde::to_vec_named(&value).unwrap();
        let (payload, headers): (&[u8], &[(&str, &[u8])]) = match at % 4 {
            0 => (&event.event, &[]),
            1 => (&event.event, &[("content-type", b"application/json; charset=utf-8")]),
            2 => (&bytes, &[]),
            _ => (&bytes, &[("traceparent", b"00"), ("Content-Type", b"application/msgpack")]),
        };
        let key = event.key();
        feeder.send_raw(FeedRecord {
            key: Some(key.as_bytes()),
            payload: Some(payload),
            headers,
            ..Default::default()
        });
    }
    feeder.flush();

    let wanted = stage.lab.score(&events);
    let same_events = [format!("topics.events={}", stage.topic("events"))];
    let _json_out = Instance::start(&stage.lab, &[]);
    let _msgpack_out = Instance::start(&packed.lab, &same_events);
    for (topic, wanted) in [("verdicts", &wanted.verdicts), ("logs", &wanted.logs)] {
        let wanted = by_partition(wanted);
        let count = wanted.iter().map(Vec::len).sum();
        assert_same(topic, &as_read(take(&mut stage.tail(topic), count)), &wanted);

        let mut unpacked = as_read(take(&mut packed.tail(topic), count));
        let mut parsed = wanted;
        for (_, value) in unpacked.iter_mut().flatten() {
            assert!(!value[0].is_ascii(), "a MessagePack map");
            *value = normal(&rmp_serde::from_slice(value).unwrap());
        }
        for (_, value) in parsed.iter_mut().flatten() {
            *value = normal(&serde_json::from_slice(value).unwrap());
        }
        assert_same(topic, &unpacked, &parsed);
    }
}

/// A value's text, whatever the order of its fields was. Numbers go through text once, because reading one
/// may cost its last bit.
fn normal(value: &Value) -> Vec<u8> {
    let text = serde_json::to_vec(value).unwrap();
    let value: Value = serde_json::from_slice(&text).unwrap();
    serde_json::to_vec(&value).unwrap()
}
