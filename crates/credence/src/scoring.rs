//! Bytes in, bytes out: decodes an event, takes the step, encodes what comes of it. The one path that
//! the stream, `score` and the benchmarks share.

use engine::{BackingError, Partition, Step};
use model::codec::{EncodeError, Encoding, decode};
use model::{LoginEvent, Timestamp, Unreadable};

use crate::data::ScoringContext;

/// What comes of one record, encoded. The buffers are used again for the next one.
#[derive(Debug, Default)]
pub struct Encoded {
    /// The verdict, if there is one.
    pub verdict: Vec<u8>,
    /// The log record, if there is one.
    pub log: Vec<u8>,
}

/// How records are decoded and encoded.
#[derive(Debug)]
pub struct Scoring {
    encoding: Encoding,
    environment_name: String,
    with_logs: bool,
    scratch: String,
    /// The risk assessment under way, as JSON.
    risk: Vec<u8>,
}

impl Scoring {
    /// With the encoding of the outputs and the name of the deployment.
    pub fn new(encoding: Encoding, environment_name: &str) -> Self {
        let environment_name = environment_name.to_owned();
        Self { encoding, environment_name, with_logs: true, scratch: String::new(), risk: Vec::new() }
    }

    /// Leaves out the log records, where nobody wants them.
    #[must_use]
    pub fn without_logs(mut self) -> Self {
        self.with_logs = false;
        self
    }

    /// Scores one record. `seen` is told of the event and its step, for counting.
    pub fn score(
        &mut self,
        record: Record<'_>,
        partition: &mut Partition,
        context: &ScoringContext,
        out: &mut Encoded,
        seen: impl FnOnce(&LoginEvent<'_>, &Step),
    ) -> Result<(), Unscored> {
        out.verdict.clear();
        out.log.clear();
        let event = decode(record.payload, record.content_type, &mut self.scratch)?;
        let step = partition.step(&event, record.time, context)?;
        // The answer's JSON is in the verdict and in the log record: it is written once.
        let risk = step.answered.as_ref().filter(|_| self.encoding == Encoding::Json).map(|answered| &answered.risk);
        if let Some(risk) = risk {
            self.encoding.encode(risk, &mut self.risk)?;
        }
        if let Some(mut verdict) = step.verdict(&event) {
            if risk.is_some() {
                verdict.risk_assessment = verdict.risk_assessment.with_json(&self.risk);
            }
            self.encoding.encode(&verdict, &mut out.verdict)?;
        }
        if self.with_logs
            && let Some(mut log) = step.log_record(&event, &self.environment_name)
        {
            if let (Some(_), Some(logged)) = (risk, &mut log.data.details.risk_assessment) {
                *logged = logged.with_json(&self.risk);
            }
            self.encoding.encode(&log, &mut out.log)?;
        }
        seen(&event, &step);
        Ok(())
    }
}

/// A record as it came.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Its bytes.
    pub payload: &'a [u8],
    /// Its `content-type` header.
    pub content_type: Option<&'a str>,
    /// Its timestamp, where it came on a topic.
    pub time: Option<Timestamp>,
}

/// A record that was not scored.
#[derive(Debug, thiserror::Error)]
pub enum Unscored {
    /// It cannot be read: a dead letter.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// What came of it cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The partition's state cannot be read: not the record's fault. Nothing was changed.
    #[error(transparent)]
    State(#[from] BackingError),
}

impl Unscored {
    /// The reason as a label.
    pub fn reason(&self) -> &'static str {
        match self {
            Unscored::Unreadable(unreadable) => unreadable.reason(),
            Unscored::Encode(_) => "not_encoded",
            Unscored::State(_) => "state_unreadable",
        }
    }
}
