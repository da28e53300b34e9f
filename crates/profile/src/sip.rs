//! SipHash-2-4 of texts that are there as a whole.
//!
//! A step hashes a handful of short texts. A hasher that takes them bit by bit spends half of its time on
//! what may come next; this one knows where the end is. Its hashes are those of everybody's SipHash-2-4.

/// A key, ready to begin with.
#[derive(Clone, Copy)]
pub(crate) struct SipKey([u64; 2]);

#[derive(Clone, Copy)]
struct State([u64; 4]);

impl SipKey {
    pub(crate) fn new(key: [u8; 16]) -> Self {
        let key = u128::from_le_bytes(key);
        Self([key as u64, (key >> 64) as u64])
    }

    /// The hash of 64 bits.
    pub(crate) fn hash(&self, bytes: &[u8]) -> u64 {
        let mut state = self.start();
        state.take(bytes);
        state.0[2] ^= 0xff;
        state.finish()
    }

    /// The hash of 128 bits, which is another one.
    pub(crate) fn hash128(&self, bytes: &[u8]) -> u128 {
        let mut state = self.start();
        state.0[1] ^= 0xee;
        state.take(bytes);
        state.0[2] ^= 0xee;
        let low = state.finish();
        state.0[1] ^= 0xdd;
        u128::from(state.finish()) << 64 | u128::from(low)
    }

    fn start(&self) -> State {
        let Self([k0, k1]) = *self;
        State([
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ])
    }
}

impl State {
    #[inline(always)]
    fn take(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        // The last word holds what is left, and the length in its highest byte.
        let last = match bytes.last_chunk::<8>() {
            // The last eight bytes end in what is left. Shifted twice: nothing left is a shift by 64.
            Some(end) => u64::from_le_bytes(*end) >> (8 * (7 - rest.len())) >> 8,
            None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
        };
        self.word(last | (bytes.len() as u64) << 56);
    }

    #[inline(always)]
    fn word(&mut self, word: u64) {
        self.0[3] ^= word;
        self.round();
        self.round();
        self.0[0] ^= word;
    }

    #[inline(always)]
    fn finish(&mut self) -> u64 {
        for _ in 0..4 {
            self.round();
        }
        self.0[0] ^ self.0[1] ^ self.0[2] ^ self.0[3]
    }

    #[inline(always)]
    fn round(&mut self) {
        let State([mut a, mut b, mut c, mut d]) = *self;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        self.0 = [a, b, c, d];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use siphasher::{sip, sip128};

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2048) })]

        #[test]
        fn hashes_are_everybodys(key in any::<[u8; 16]>(), bytes in proptest::collection::vec(any::<u8>(), 0..70)) {
            prop_assert_eq!(SipKey::new(key).hash(&bytes), sip::SipHasher24::new_with_key(&key).hash(&bytes));
            let wanted = sip128::SipHasher24::new_with_key(&key).hash(&bytes).as_u128();
            prop_assert_eq!(SipKey::new(key).hash128(&bytes), wanted);
        }
    }
}
