//! What the fuzz targets of both decoders share: whatever the bytes are, there is an answer or a reason,
//! and both can be written.

use std::sync::{Arc, LazyLock};

use assess::Settings;
use engine::{Context, Partition};
use intel::snapshot::Content;
use intel::{Agents, Snapshot};
use model::codec::{Encoding, decode};
use model::{LoginEvent, Unreadable};
use profile::{Fingerprints, HashKey};
use serde::de::IgnoredAny;

/// No databases and no lists: places are the event's own.
static CONTEXT: LazyLock<Context<Snapshot>> = LazyLock::new(|| {
    let snapshot = Snapshot::new(Content::default(), Agents::default());
    let fingerprints = Fingerprints::new(HashKey(*b"fuzzing uses it!"));
    Context::new(Arc::new(Settings::default()), "fuzz".into(), snapshot, fingerprints)
});

/// Decodes a record; where it is an event, steps over it twice and writes all that comes of it.
pub fn record(bytes: &[u8], content_type: &str) {
    let mut scratch = String::new();
    match decode(bytes, Some(content_type), &mut scratch) {
        Ok(event) => two_steps(&event),
        Err(unreadable) => assert!(Unreadable::REASONS.contains(&unreadable.reason()), "{unreadable}"),
    }
}

fn two_steps(event: &LoginEvent<'_>) {
    let mut partition = Partition::default();
    let first = partition.step(event, None, &CONTEXT).expect("the state is in memory");
    let again = partition.step(event, Some(event.time), &CONTEXT).expect("the state is in memory");
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        let verdict = written(encoding, first.verdict(event));
        written(encoding, first.log_record(event, "fuzz"));
        written(encoding, again.log_record(event, "fuzz"));
        assert_eq!(verdict, written(encoding, again.verdict(event)), "a duplicate repeats the first answer");
    }
}

/// Writes a record and reads it again: what is written must be sound.
fn written(encoding: Encoding, record: Option<impl serde::Serialize>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    encoding.encode(&record?, &mut bytes).expect("every record can be written");
    match encoding {
        Encoding::Json => drop(serde_json::from_slice::<IgnoredAny>(&bytes).expect("JSON was written")),
        Encoding::MessagePack => drop(rmp_serde::from_slice::<IgnoredAny>(&bytes).expect("MessagePack was written")),
    }
    Some(bytes)
}
