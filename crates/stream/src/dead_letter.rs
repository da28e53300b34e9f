//! The record that is sent for a source record that could not be read: the same key, payload and headers,
//! and headers of our own that say why and where it came from.

use rdkafka::message::{BorrowedHeaders, Header, Headers, OwnedHeaders};

use delivery::DeadLetter;

/// No more original headers than this are kept. A record with more keeps none.
const MAX_ORIGINAL_HEADERS: usize = 64;
/// Where the `credence-detail` header is cut.
const MAX_DETAIL_BYTES: usize = 512;
/// What is left of a key when a dead letter has to be cut.
const CUT_KEY_BYTES: usize = 1024;
/// What is left of a payload at the first cut, the second, and the last. Kafka's default limit of a record
/// is 1 MiB.
const CUTS: [usize; 3] = [512 << 10, 64 << 10, 0];

/// Where a source record came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp_ms: Option<i64>,
}

/// The headers of a dead letter.
///
/// The original ones are copied without looking at their names, which rdkafka cannot always read.
pub(crate) fn headers(original: Option<&BorrowedHeaders>, origin: Origin<'_>, why: &DeadLetter) -> OwnedHeaders {
    let count = original.map_or(0, Headers::count);
    let mut headers = match original {
        Some(original) if count <= MAX_ORIGINAL_HEADERS => original.detach(),
        _ => OwnedHeaders::new_with_capacity(8),
    };
    if count > MAX_ORIGINAL_HEADERS {
        headers = add(headers, "credence-headers-dropped", &count.to_string());
    }
    headers = add(headers, "credence-reason", why.reason);
    headers = add(headers, "credence-detail", cut_text(&why.detail, MAX_DETAIL_BYTES));
    headers = add(headers, "credence-source-topic", origin.topic);
    headers = add(headers, "credence-source-partition", &origin.partition.to_string());
    headers = add(headers, "credence-source-offset", &origin.offset.to_string());
    if let Some(timestamp) = origin.timestamp_ms {
        headers = add(headers, "credence-source-timestamp", &timestamp.to_string());
    }
    headers
}

/// What identifies a dead letter apart from its bytes: kept beside it until it is acknowledged, so that it
/// can be sent again, smaller, when its topic does not take it whole.
#[derive(Debug)]
pub(crate) struct Provenance {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) why: DeadLetter,
    /// Length of the original key and payload.
    pub(crate) key_bytes: usize,
    pub(crate) payload_bytes: usize,
    /// How often it was cut already.
    pub(crate) cuts: usize,
}

/// A dead letter made smaller.
pub(crate) struct Cut<'a> {
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) payload: Option<&'a [u8]>,
    pub(crate) headers: OwnedHeaders,
}

/// Cuts a dead letter that was too large for its topic. The original headers go, a long key is cut, and
/// the header `credence-cut` says what is missing. `None` when it was cut to nothing already.
pub(crate) fn cut<'a>(
    provenance: &mut Provenance,
    key: Option<&'a [u8]>,
    payload: Option<&'a [u8]>,
) -> Option<Cut<'a>> {
    let limit = *CUTS.get(provenance.cuts)?;
    provenance.cuts += 1;
    let origin = Origin {
        topic: &provenance.topic,
        partition: provenance.partition,
        offset: provenance.offset,
        timestamp_ms: provenance.timestamp_ms,
    };
    let cut_key = key.map(|key| &key[..key.len().min(CUT_KEY_BYTES)]);
    let cut_payload = payload.map(|payload| &payload[..payload.len().min(limit)]);
    let lengths = format!(
        "key {} of {} bytes, payload {} of {} bytes, original headers dropped",
        cut_key.map_or(0, <[u8]>::len),
        provenance.key_bytes,
        cut_payload.map_or(0, <[u8]>::len),
        provenance.payload_bytes,
    );
    let headers = headers(None, origin, &provenance.why);
    Some(Cut { key: cut_key, payload: cut_payload, headers: add(headers, "credence-cut", &lengths) })
}

fn add(headers: OwnedHeaders, key: &str, value: &str) -> OwnedHeaders {
    headers.insert(Header { key, value: Some(value) })
}

/// The longest start of `text` that has at most `max` bytes and ends between two characters.
fn cut_text(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(detail: &str) -> DeadLetter {
        DeadLetter { reason: "unreadable", detail: detail.to_owned() }
    }

    fn names(headers: &OwnedHeaders) -> Vec<String> {
        headers.iter().map(|header| header.key.to_owned()).collect()
    }

    fn value(headers: &OwnedHeaders, name: &str) -> Option<String> {
        let found = headers.iter().find(|header| header.key == name)?;
        found.value.map(|value| String::from_utf8_lossy(value).into_owned())
    }

    const ORIGIN: Origin<'static> =
        Origin { topic: "in", partition: 3, offset: 42, timestamp_ms: Some(1_700_000_000_000) };

    #[test]
    fn original_headers_come_first_and_are_bounded() {
        let mut original = OwnedHeaders::new();
        original = add(original, "trace", "1");
        let made = headers(Some(original.as_borrowed()), ORIGIN, &why("no tenant.id"));
        let expected = [
            "trace",
            "credence-reason",
            "credence-detail",
            "credence-source-topic",
            "credence-source-partition",
            "credence-source-offset",
            "credence-source-timestamp",
        ];
        assert_eq!(names(&made), expected);
        assert_eq!(value(&made, "credence-source-offset").as_deref(), Some("42"));

        for _ in 0..MAX_ORIGINAL_HEADERS {
            original = add(original, "more", "x");
        }
        let made = headers(Some(original.as_borrowed()), ORIGIN, &why(""));
        assert_eq!(value(&made, "credence-headers-dropped").as_deref(), Some("65"));
        assert!(!names(&made).contains(&"trace".to_owned()));
    }

    #[test]
    fn detail_is_cut_between_characters() {
        for (text, max, expected) in [("abc", 5, "abc"), ("abc", 2, "ab"), ("aé", 2, "a"), ("é", 1, ""), ("", 0, "")]
        {
            assert_eq!(cut_text(text, max), expected, "{text} at {max}");
        }
        let made = headers(None, ORIGIN, &why(&"é".repeat(600)));
        assert_eq!(value(&made, "credence-detail").map(|text| text.len()), Some(512));
    }

    #[test]
    fn cuts_get_smaller_and_end() {
        let mut provenance = Provenance {
            topic: "in".to_owned(),
            partition: 0,
            offset: 7,
            timestamp_ms: None,
            why: why("too large"),
            key_bytes: 0,
            payload_bytes: 2 << 20,
            cuts: 0,
        };
        let payload = vec![b'x'; 2 << 20];
        let mut sizes = Vec::new();
        while let Some(made) = cut(&mut provenance, None, Some(&payload)) {
            assert!(value(&made.headers, "credence-cut").is_some_and(|text| text.contains("of 2097152 bytes")));
            assert_eq!(made.key, None);
            sizes.push(made.payload.map_or(0, <[u8]>::len));
            assert!(sizes.len() < 10);
        }
        assert_eq!(sizes, CUTS);
        // A tombstone stays one.
        provenance.cuts = 0;
        let made = cut(&mut provenance, Some(&payload), None).unwrap();
        assert_eq!((made.payload, made.key.map(<[u8]>::len)), (None, Some(CUT_KEY_BYTES)));
    }
}
