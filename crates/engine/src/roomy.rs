//! The place of a packed profile in memory.

/// A packed profile with some room behind it, so that the user's next one is written over it: it is mostly as
/// long, and memory that was just read is faster than what an allocator finds. The last byte says how much
/// room there is, itself included. The room is about what allocators round up by anyway.
#[derive(Debug, Default)]
pub(crate) struct Roomy(Box<[u8]>);

impl Roomy {
    /// Most bytes of room in a record that shrank; then it moves to a smaller one.
    const MOST_ROOM: usize = 96;

    pub(crate) fn new(packed: &[u8]) -> Self {
        let step = if packed.len() < 256 { 32 } else { 64 };
        let size = (packed.len() + 1).next_multiple_of(step);
        let mut bytes = Vec::with_capacity(size);
        bytes.extend_from_slice(packed);
        bytes.resize(size, 0);
        let mut roomy = Self(bytes.into_boxed_slice());
        roomy.note_room(packed.len());
        roomy
    }

    fn note_room(&mut self, length: usize) {
        let room = self.0.len().saturating_sub(length);
        if let Some(last) = self.0.last_mut() {
            *last = room as u8;
        }
    }

    pub(crate) fn packed(&self) -> &[u8] {
        let room = self.0.last().map_or(0, |room| usize::from(*room));
        self.0.get(..self.0.len().saturating_sub(room)).unwrap_or_default()
    }

    /// Bytes that it takes, its room included.
    pub(crate) fn bytes(&self) -> usize {
        self.0.len()
    }

    /// Puts another profile in the place of this one.
    pub(crate) fn replace(&mut self, packed: &[u8]) {
        let fits = packed.len() < self.0.len() && self.0.len() - packed.len() <= Self::MOST_ROOM;
        match self.0.get_mut(..packed.len()) {
            Some(place) if fits => {
                place.copy_from_slice(packed);
                self.note_room(packed.len());
            }
            _ => *self = Self::new(packed),
        }
    }
}
