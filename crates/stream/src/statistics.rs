//! What is wanted of librdkafka's statistics: where the partitions of the input topic end.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The input topic as the consumer knows it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TopicStatistics {
    /// How many partitions the topic has; 0 when not known.
    pub(crate) partition_count: i32,
    /// The partitions whose end is known.
    pub(crate) ends: BTreeMap<i32, End>,
}

/// The end of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    /// The offset after the last readable record.
    pub(crate) offset: i64,
    /// How many records are not yet committed, by librdkafka's count; `None` when it does not know.
    pub(crate) uncommitted: Option<i64>,
}

#[derive(Deserialize)]
struct Statistics {
    #[serde(default)]
    topics: BTreeMap<String, Topic>,
}

#[derive(Deserialize)]
struct Topic {
    #[serde(default)]
    partitions: BTreeMap<i32, Partition>,
}

#[derive(Deserialize)]
struct Partition {
    // With `read_committed`, the last stable offset; librdkafka uses -1001 for "not known".
    #[serde(default = "unknown")]
    ls_offset: i64,
    #[serde(default = "unknown")]
    consumer_lag: i64,
}

fn unknown() -> i64 {
    -1001
}

/// Reads a statistics document. `None` when it is not one, or does not mention the topic.
pub(crate) fn parse(json: &[u8], topic: &str) -> Option<TopicStatistics> {
    let mut document: Statistics = serde_json::from_slice(json).ok()?;
    let partitions = document.topics.remove(topic)?.partitions;
    // Partition -1 collects records without one.
    let real = || partitions.iter().filter(|(partition, _)| **partition >= 0);
    let ends = real().filter(|(_, of)| of.ls_offset >= 0).map(|(partition, of)| {
        let end = End { offset: of.ls_offset, uncommitted: (of.consumer_lag >= 0).then_some(of.consumer_lag) };
        (*partition, end)
    });
    Some(TopicStatistics { partition_count: i32::try_from(real().count()).unwrap_or(0), ends: ends.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_ends_of_the_topic_asked_for() {
        let json = br#"{"name": "x", "topics": {
            "other": {"partitions": {"0": {"ls_offset": 9}}},
            "in": {"topic": "in", "partitions": {
                "0": {"partition": 0, "hi_offset": 12, "ls_offset": 11, "consumer_lag": 4, "more": [1]},
                "1": {"partition": 1, "hi_offset": -1001, "ls_offset": -1001, "consumer_lag": -1},
                "2": {"partition": 2, "ls_offset": 0, "consumer_lag": -1},
                "-1": {"partition": -1, "ls_offset": 5}}}}}"#;
        let found = parse(json, "in").unwrap();
        assert_eq!(found.partition_count, 3);
        let end = |offset, uncommitted| End { offset, uncommitted };
        assert_eq!(found.ends, BTreeMap::from([(0, end(11, Some(4))), (2, end(0, None))]));
    }

    #[test]
    fn other_documents_say_nothing() {
        for json in ["", "[]", "{}", r#"{"topics": {}}"#, r#"{"topics": {"in": {"partitions": {"x": {}}}}}"#] {
            assert_eq!(parse(json.as_bytes(), "in"), None, "{json}");
        }
    }
}
