//! Reads topics in threads of their own while the run goes on, up to end marks that are written when no
//! instance runs any more. A reader of committed records meets the marks only after the last transaction
//! before them is over.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use stream::Connection;
use stream::feed::{FeedRecord, Feeder};
use stream::tail::{From, Isolation, Record, Tail};

use crate::error::{CrashError, io_error};

/// The key of an end mark.
const END: &[u8] = b"crash-harness-end";
const LOOK: Duration = Duration::from_millis(200);
/// How long the way to the end marks may take. The transaction of a killed instance ends by its own
/// timeout, which takes seconds.
const END_WITHIN: Duration = Duration::from_secs(120);

/// A topic that is being read.
struct Reader {
    topic: &'static str,
    partitions: i32,
    thread: JoinHandle<Result<(), CrashError>>,
}

/// All topics that are being read.
pub(crate) struct Readers {
    connection: Connection,
    stop: Arc<AtomicBool>,
    readers: Vec<Reader>,
}

impl Readers {
    pub(crate) fn new(connection: Connection) -> Readers {
        Readers { connection, stop: Arc::default(), readers: Vec::new() }
    }

    /// Begins to read a topic from its beginning.
    pub(crate) fn start(
        &mut self,
        topic: &'static str,
        isolation: Isolation,
        mut with: impl FnMut(&Record) + Send + 'static,
    ) -> Result<(), CrashError> {
        let mut tail = Tail::new(&self.connection, topic, From::Beginning, isolation)?;
        let partitions = tail.partitions();
        let stop = self.stop.clone();
        let read = move || -> Result<(), CrashError> {
            let mut ended = HashSet::new();
            while !stop.load(Ordering::Relaxed) && ended.len() < partitions as usize {
                match tail.next(LOOK)? {
                    Some(record) if record.key.as_deref() == Some(END) => {
                        ended.insert(record.partition);
                    }
                    Some(record) => with(&record),
                    None => {}
                }
            }
            Ok(())
        };
        let thread = thread::Builder::new().name(topic.to_owned()).spawn(read);
        let thread = thread.map_err(io_error("start a thread for", topic.as_ref()))?;
        self.readers.push(Reader { topic, partitions, thread });
        Ok(())
    }

    /// An error of a reader that has ended before its time.
    pub(crate) fn check(&mut self) -> Result<(), CrashError> {
        match self.readers.iter().position(|reader| reader.thread.is_finished()) {
            Some(ended) => join(self.readers.swap_remove(ended)),
            None => Ok(()),
        }
    }

    /// Marks the ends of all topics and waits until everything before is read. No instance may run.
    pub(crate) fn finish(mut self) -> Result<(), CrashError> {
        let feeder = Feeder::new(&self.connection)?;
        for reader in &self.readers {
            for partition in 0..reader.partitions {
                feeder.send(FeedRecord {
                    topic: reader.topic,
                    key: Some(END),
                    payload: Some(b"end"),
                    partition: Some(partition),
                    ..FeedRecord::default()
                })?;
            }
        }
        feeder.flush(END_WITHIN)?;
        let deadline = Instant::now() + END_WITHIN;
        for reader in std::mem::take(&mut self.readers) {
            while !reader.thread.is_finished() {
                if Instant::now() >= deadline {
                    let what = format!("the end of topic {}", reader.topic);
                    return Err(CrashError::InVain { what, waited: END_WITHIN });
                }
                thread::park_timeout(Duration::from_millis(20));
            }
            join(reader)?;
        }
        Ok(())
    }
}

fn join(reader: Reader) -> Result<(), CrashError> {
    reader.thread.join().unwrap_or(Err(CrashError::Panicked(reader.topic)))
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
