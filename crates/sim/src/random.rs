//! A small random generator of our own (SplitMix64), so that the numbers never change with a
//! library's version.

/// Deterministic random numbers. Not for secrets.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random { state: seed }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        scramble(self.state)
    }

    /// A number in `0..bound`; 0 when `bound` is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        // The high half of the product: no division, and a bias far below anything visible here.
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// An index into something that has `len` elements; 0 when it has none.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// A number of `low..high`; `low` when the range is empty.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below(high.saturating_sub(low).max(0) as u64) as i64
    }

    /// True `n` times in a hundred.
    pub(crate) fn percent(&mut self, n: u64) -> bool {
        self.below(100) < n
    }

    /// True `n` times in a thousand.
    pub(crate) fn permille(&mut self, n: u64) -> bool {
        self.below(1000) < n
    }
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
/// Where mixing starts; any number that is not itself made of `GOLDEN`.
const START: u64 = 0x6a09_e667_f3bc_c909;

/// A bijection of the 64-bit numbers that hides any pattern of its input.
pub(crate) fn scramble(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// One number out of several, for attributes that must be the same each time they are asked for.
pub(crate) fn mix(parts: &[u64]) -> u64 {
    parts.iter().fold(START, |hash, part| scramble(hash ^ part.wrapping_mul(GOLDEN)).wrapping_add(GOLDEN))
}
