//! Changed state of a batch, on its way to the changelog.

/// One record of the changelog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change<'a> {
    /// The partition whose state changed.
    pub partition: i32,
    /// What changed.
    pub key: &'a [u8],
    /// Its new value; `None`: it is gone.
    pub value: Option<&'a [u8]>,
}

/// Changes in the order in which they were added. The buffers are used again from batch to batch.
#[derive(Debug, Default, Clone)]
pub struct Changes {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    partition: i32,
    start: usize,
    value: usize,
    end: usize,
    gone: bool,
}

impl Changes {
    /// Adds a change.
    pub fn push(&mut self, partition: i32, key: &[u8], value: Option<&[u8]>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(value.unwrap_or_default());
        let end = self.bytes.len();
        self.entries.push(Entry { partition, start, value: middle, end, gone: value.is_none() });
    }

    /// All changes.
    pub fn iter(&self) -> impl Iterator<Item = Change<'_>> {
        self.entries.iter().map(|entry| Change {
            partition: entry.partition,
            key: self.bytes.get(entry.start..entry.value).unwrap_or_default(),
            value: self.bytes.get(entry.value..entry.end).filter(|_| !entry.gone),
        })
    }

    /// The changes of one partition.
    pub fn of(&self, partition: i32) -> impl Iterator<Item = Change<'_>> {
        self.iter().filter(move |change| change.partition == partition)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of keys and values.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets all, keeping the buffers.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_back_as_they_were_added() {
        let mut changes = Changes::default();
        let added = [
            Change { partition: 1, key: b"a", value: Some(b"x") },
            Change { partition: 2, key: b"b", value: None },
            Change { partition: 1, key: b"", value: Some(b"") },
        ];
        for change in added {
            changes.push(change.partition, change.key, change.value);
        }
        assert!(changes.iter().eq(added));
        assert!(changes.of(1).eq([added[0], added[2]]));
        assert_eq!((changes.len(), changes.bytes()), (3, 3));
        changes.clear();
        assert!(changes.is_empty() && changes.iter().next().is_none());
    }
}
