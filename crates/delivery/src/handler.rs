//! What the code that turns records into outputs sees of a stream.

use crate::changes::Changes;
use crate::lanes::BatchId;
use crate::local_state::StateError;

/// Turns source records into outputs. One handler belongs to one worker and is only ever called from that
/// worker's thread, so it needs no locks.
///
/// A handler is a function of the records of a partition, in their order, of its state, and of what it was
/// built with. It must not block on anything slow: while it runs, its worker does not poll.
///
/// A handler without state leaves the methods that are about state as they are.
pub trait Handler: Send {
    /// The worker serves `partition` from now on, and records follow. The local state holds everything that
    /// is committed.
    ///
    /// # Errors
    /// The local state cannot be used.
    fn assigned(&mut self, partition: i32) -> Result<(), StateError>;

    /// The worker no longer serves `partition`: drop what is in memory of its state, and what was announced of it.
    /// Everything handled for it so far is committed, or will be handled again by the next owner.
    fn revoked(&mut self, partition: i32);

    /// Called between two batches of records: the moment where settings and data snapshots may be swapped,
    /// so that a batch sees one version of each.
    fn between_batches(&mut self) {}

    /// Handles one record. `outputs` is empty at the call. A record that cannot be read is not an error:
    /// say so with [`Outputs::dead_letter`].
    ///
    /// # Errors
    /// The local state cannot be used. The record has changed nothing then and is handled again.
    fn handle(&mut self, source: &Source<'_>, outputs: &mut Outputs) -> Result<(), StateError>;

    /// Something that handling depends on is to change, of the partitions that are served or of some of them: it
    /// has to be committed before a record is handled with it. Asked between two batches, and again until it was
    /// announced.
    ///
    /// Answers leave before they are committed, so this is what makes a record that is handled again after a crash
    /// get the same answer: with what is committed, up to where it may have been answered before, and with the news
    /// from there on.
    fn has_news(&self) -> bool {
        false
    }

    /// The batch that is about to be sealed announces the news, of the partitions that are served now. They are
    /// among the changes that [`Handler::take_changes`] adds, which is called next, and in force when
    /// [`Handler::stored`] was called with this batch: neither before nor later. No record is handled in between.
    /// What becomes known after this call is news for a later announcement.
    ///
    /// Where it does not come about [`Handler::rewind`] or, for each partition, [`Handler::revoked`] is called
    /// instead: then what was in force before still is, and the news are still to be announced.
    fn announce(&mut self, _batch: BatchId) {}

    /// The open batch is sealed: adds everything that changed since the last call, each thing once with its
    /// newest value. These changes belong to `batch`.
    fn take_changes(&mut self, _batch: BatchId, _changes: &mut Changes) {}

    /// `batch` and everything before it is committed and in the local state.
    fn stored(&mut self, _batch: BatchId) {}

    /// Nothing that is not stored will be committed: the state is again what the last stored batch left, and what
    /// was announced since is not in force.
    ///
    /// # Errors
    /// The local state cannot be used.
    fn rewind(&mut self) -> Result<(), StateError> {
        Ok(())
    }
}

/// A record of the input topic.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The input topic.
    pub topic: &'a str,
    /// The partition that the record was read from.
    pub partition: i32,
    /// How many partitions the topic has, as far as is known.
    pub partition_count: i32,
    /// The record's offset in its partition.
    pub offset: i64,
    /// The record's timestamp in milliseconds since 1970, if it has one: when it was produced or appended,
    /// as the topic is configured.
    pub timestamp_ms: Option<i64>,
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// The record's value.
    pub payload: Option<&'a [u8]>,
    /// The value of the record's first `content-type` header, where it is valid UTF-8.
    pub content_type: Option<&'a str>,
}

/// Why a record goes to the dead-letter topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// A short name from a closed set: it becomes a metric label and the `credence-reason` header.
    pub reason: &'static str,
    /// What exactly was wrong. Cut at 512 bytes in the `credence-detail` header.
    pub detail: String,
}

/// Buffers larger than this are given back between records, so that one giant record does not stay in
/// memory for good.
const KEEP_BYTES: usize = 1 << 20;

/// The outputs of one source record: at most one verdict, one log record and one dead letter. The buffers
/// are reused from record to record.
#[derive(Debug, Default)]
pub struct Outputs {
    key: Vec<u8>,
    event_time_ms: Option<i64>,
    verdict: Slot,
    log: Slot,
    dead: Option<DeadLetter>,
}

#[derive(Debug, Default)]
struct Slot {
    present: bool,
    bytes: Vec<u8>,
}

impl Slot {
    fn add(&mut self) -> &mut Vec<u8> {
        self.present = true;
        self.bytes.clear();
        &mut self.bytes
    }

    fn get(&self) -> Option<&[u8]> {
        self.present.then_some(self.bytes.as_slice())
    }

    fn clear(&mut self) {
        self.present = false;
        recycle(&mut self.bytes);
    }
}

fn recycle(bytes: &mut Vec<u8>) {
    bytes.clear();
    if bytes.capacity() > KEEP_BYTES {
        bytes.shrink_to(KEEP_BYTES);
    }
}

impl Outputs {
    /// Empty outputs.
    pub fn new() -> Outputs {
        Outputs::default()
    }

    /// Empties everything, keeping the buffers.
    pub fn clear(&mut self) {
        recycle(&mut self.key);
        self.event_time_ms = None;
        self.verdict.clear();
        self.log.clear();
        self.dead = None;
    }

    /// The key that the record should have had: the key of the verdict and of the log record. A source
    /// record on another partition than this key names is counted as misrouted. Empty means: none known.
    pub fn key_mut(&mut self) -> &mut Vec<u8> {
        &mut self.key
    }

    /// When the event happened, in milliseconds since 1970. Only used to measure how long the verdict took.
    pub fn set_event_time_ms(&mut self, time: i64) {
        self.event_time_ms = Some(time);
    }

    /// Adds a verdict and returns the empty buffer to write it to.
    pub fn add_verdict(&mut self) -> &mut Vec<u8> {
        self.verdict.add()
    }

    /// Adds a log record and returns the empty buffer to write it to.
    pub fn add_log(&mut self) -> &mut Vec<u8> {
        self.log.add()
    }

    /// Sends the source record to the dead-letter topic, byte for byte.
    pub fn dead_letter(&mut self, reason: &'static str, detail: impl Into<String>) {
        let detail = detail.into();
        self.dead = Some(DeadLetter { reason, detail });
    }

    /// The key set so far; empty when none is known.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The event's time in milliseconds since 1970, where set.
    pub fn event_time_ms(&self) -> Option<i64> {
        self.event_time_ms
    }

    /// The verdict, where there is one.
    pub fn verdict(&self) -> Option<&[u8]> {
        self.verdict.get()
    }

    /// The log record, where there is one.
    pub fn log(&self) -> Option<&[u8]> {
        self.log.get()
    }

    /// Why the source record goes to the dead-letter topic, where it does.
    pub fn dead(&self) -> Option<&DeadLetter> {
        self.dead.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_empty_after_clear() {
        let mut outputs = Outputs::new();
        outputs.key_mut().extend_from_slice(b"acme/user");
        outputs.add_verdict().extend_from_slice(b"v");
        outputs.add_log().resize(4 * KEEP_BYTES, b'x');
        outputs.dead_letter("unreadable", "not a map");
        outputs.set_event_time_ms(7);
        assert_eq!(outputs.verdict(), Some(&b"v"[..]));
        assert_eq!(outputs.log().map(<[u8]>::len), Some(4 * KEEP_BYTES));

        outputs.clear();
        assert_eq!(outputs.key(), b"");
        assert_eq!((outputs.verdict(), outputs.log()), (None, None));
        assert_eq!((outputs.dead(), outputs.event_time_ms()), (None, None));
        assert!(outputs.log.bytes.capacity() <= 2 * KEEP_BYTES);
    }

    #[test]
    fn an_empty_output_is_still_an_output() {
        let mut outputs = Outputs::new();
        outputs.add_verdict();
        assert_eq!(outputs.verdict(), Some(&b""[..]));
    }
}
