//! A Kafka broker inside the process, for the demo and for tests of start-up and errors.
//!
//! It is librdkafka's mock cluster: real clients speak the real protocol to it over a local port, but it
//! keeps only the last 5 MiB or 100,000 record sets of a partition and silently drops the oldest, has no
//! compaction, no transactions worth the name, and loses everything with the process. A consumer group's
//! first join takes about three seconds. Nothing about restarts, volume or exactly-once is proved on it.

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use crate::error::Error;

/// A broker that lives as long as this value.
pub struct Embedded {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl Embedded {
    /// Starts a broker with these topics: names with their number of partitions.
    ///
    /// # Errors
    /// When the broker cannot open a local port, or a topic's name or number of partitions is not valid.
    pub fn start(topics: &[(&str, i32)]) -> Result<Embedded, Error> {
        let failed = |action: String| {
            move |error: rdkafka::error::KafkaError| Error::Embedded { action, reason: error.to_string() }
        };
        let cluster = MockCluster::new(1).map_err(failed("start".to_owned()))?;
        for (topic, partitions) in topics {
            let action = format!("create topic {topic} with {partitions} partitions");
            cluster.create_topic(topic, *partitions, 1).map_err(failed(action))?;
        }
        Ok(Embedded { cluster })
    }

    /// Its address, for `Connection::new` and for any other client on this machine.
    pub fn bootstrap_servers(&self) -> String {
        self.cluster.bootstrap_servers()
    }
}
