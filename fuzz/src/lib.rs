//! What the fuzz targets of both decoders share: whatever the bytes are, there is an answer or a reason,
//! and both can be written.

use std::sync::{Arc, LazyLock};

use assess::Settings;
use engine::{Context, Partition};
use intel::snapshot::Content;
use intel::{Agents, Snapshot};
use model::codec::{Encoding, Record, decode, decode_any_json};
use model::{LoginEvent, Unreadable};
use profile::{Fingerprints, HashKey};
use serde::de::IgnoredAny;

/// No databases and no lists: places are the event's own.
static CONTEXT: LazyLock<Context<Snapshot>> = LazyLock::new(|| {
    let snapshot = Snapshot::new(Content::default(), Agents::default());
    let fingerprints = Fingerprints::new(HashKey(*b"fuzzing uses it!"));
    Context::new(Arc::new(Settings::default()), "fuzz".into(), snapshot, fingerprints)
});

/// Decodes a record; where it is an event, steps over it twice and writes all that comes of it. JSON is
/// read by both readers.
pub fn record(bytes: &[u8], content_type: &str) {
    let (mut scratch, mut other_scratch) = (String::new(), String::new());
    let decoded = decode(bytes, Some(content_type), &mut scratch);
    if let (Some(Encoding::Json), Ok(text), false) =
        (Encoding::from_content_type(content_type), std::str::from_utf8(bytes), bytes.is_empty())
    {
        let generally = decode_any_json(text, &mut other_scratch);
        assert_eq!(format!("{decoded:?}"), format!("{generally:?}"), "both readers");
    }
    match decoded {
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
fn written(encoding: Encoding, record: Option<impl Record>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    encoding.encode(&record?, &mut bytes).expect("every record can be written");
    match encoding {
        Encoding::Json => drop(serde_json::from_slice::<IgnoredAny>(&bytes).expect("JSON was written")),
        Encoding::MessagePack => drop(rmp_serde::from_slice::<IgnoredAny>(&bytes).expect("MessagePack was written")),
    }
    Some(bytes)
}
