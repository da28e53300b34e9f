//! Kafka's key hash: 32-bit MurmurHash2 with the seed of the Java client, so that partitions agree with
//! what Java producers choose.

const SEED: u32 = 0x9747_b28c;
const M: u32 = 0x5bd1_e995;
const R: u32 = 24;

/// MurmurHash2 of `data` as the Java client computes it (there it is a signed `int`: same bits).
pub fn murmur2(data: &[u8]) -> u32 {
    // The Java client's lengths are 32-bit; a Kafka key cannot be longer than that.
    let mut hash = SEED ^ (data.len() as u32);
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        // `chunks_exact(4)` yields slices of four, so every index below exists.
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        k = k.wrapping_mul(M);
        k ^= k >> R;
        k = k.wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (at, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition that the Java client's default partitioner chooses for a record with this key, in a topic
/// of `partition_count` partitions. `None` when the count is not positive.
pub fn partition_for(key: &[u8], partition_count: i32) -> Option<i32> {
    if partition_count <= 0 {
        return None;
    }
    let positive = (murmur2(key) & 0x7fff_ffff) as i32;
    Some(positive % partition_count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_java_client() {
        // The vectors of the Java client's own unit test.
        let known: [(&str, i32); 6] = [
            ("21", -973932308),
            ("foobar", -790332482),
            ("a-little-bit-long-string", -985981536),
            ("a-little-bit-longer-string", -1486304829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
            ("abc", 479470107),
        ];
        for (key, hash) in known {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "key {key:?}");
        }
    }

    #[test]
    fn partitions_are_within_the_topic() {
        for count in [1, 2, 3, 12, 255] {
            for key in ["", "a", "acme/auth0|1", "foobar"] {
                let partition = partition_for(key.as_bytes(), count).unwrap();
                assert!((0..count).contains(&partition), "{key:?} of {count}: {partition}");
            }
        }
        assert_eq!(partition_for(b"foobar", 0), None);
        assert_eq!(partition_for(b"foobar", -1), None);
        // -790332482 with the sign bit off is 1357151166.
        assert_eq!(partition_for(b"foobar", 1000), Some(166));
    }
}
