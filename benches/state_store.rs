//! What the local store costs: two million profiles of 350 bytes, written in the order of a changelog,
//! changed, and read.
//!
//!     cargo bench -p credence --bench state_store [-- PROFILES [CACHE_MIB]]

mod sample;

use std::hint::black_box;
use std::time::Instant;

use store::{Identity, Options, PartitionStore, Stores};

/// The binary's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const VALUE_BYTES: usize = 350;
const BATCH: u64 = 2_000;
/// Batches of changes, and reads.
const CHANGED_BATCHES: u64 = 250;
const READS: u64 = 500_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Cargo adds an argument of its own.
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let profiles = numbers.next().unwrap_or(2_000_000).max(BATCH);
    let options = Options { cache_bytes: numbers.next().unwrap_or(64) << 20, ..Options::default() };
    let folder = tempfile::tempdir()?;
    let identity = Identity {
        cluster_id: "bench".to_owned(),
        topic: "credence-profiles".to_owned(),
        partitions: 1,
        key_check: String::new(),
    };
    let stores = Stores::open(folder.path(), &identity, &options)?;
    let store = stores.partition(0)?;
    println!("{profiles} profiles of {VALUE_BYTES} bytes, {options:?}");

    // Every profile once, in no order: a prime that is no factor steps through all of them.
    let load = timed(profiles / BATCH, |batch| apply(&store, batch, |n| (batch * BATCH + n) * 1_000_003 % profiles))?;
    print(&stores, "written", load, BATCH)?;
    let changes = timed(CHANGED_BATCHES, |batch| apply(&store, batch, |n| scrambled(batch * BATCH + n) % profiles))?;
    print(&stores, "changed", changes, BATCH)?;
    let found = timed(READS, |n| {
        black_box(store.get(&key(scrambled(n) % profiles))?);
        Ok(())
    })?;
    print(&stores, "read", found, 1)?;
    let missed = timed(READS, |n| {
        black_box(store.get(&key(profiles + scrambled(n) % profiles))?);
        Ok(())
    })?;
    print(&stores, "not there", missed, 1)?;
    let mut scanned = 0u64;
    let scan = timed(1, |_| store.scan(b"", usize::MAX, |_, value| scanned += value.len() as u64))?;
    print(&stores, "scanned", scan, profiles)?;
    assert_eq!(scanned, profiles / BATCH * BATCH * VALUE_BYTES as u64, "every profile was there");
    println!("bytes on disk a profile: {}", stores.disk_bytes()? / profiles);
    Ok(())
}

/// Microseconds of one call: how long it took, and how long this thread ran for it.
fn timed(
    calls: u64,
    mut call: impl FnMut(u64) -> Result<(), store::StoreError>,
) -> Result<[f64; 2], store::StoreError> {
    let (start, ran) = (Instant::now(), sample::thread_time());
    for n in 0..calls {
        call(n)?;
    }
    let times = [start.elapsed(), sample::thread_time() - ran];
    Ok(times.map(|time| time.as_secs_f64() * 1e6 / calls as f64))
}

fn print(stores: &Stores, what: &str, [us, ran]: [f64; 2], per: u64) -> Result<(), store::StoreError> {
    let [us, ran] = [us, ran].map(|us| us / per as f64);
    let mib = |bytes: u64| bytes >> 20;
    let (disk, resident) = (mib(stores.disk_bytes()?), mib(sample::resident_bytes() as u64));
    println!(
        "{what:<10} {us:>8.2} us a profile, {ran:>6.2} us running   {disk:>6} MiB on disk   {resident:>5} MiB resident"
    );
    Ok(())
}

fn apply(store: &PartitionStore, batch: u64, user: impl Fn(u64) -> u64) -> Result<(), store::StoreError> {
    let changes: Vec<_> = (0..BATCH).map(|n| (key(user(n)), value(user(n) ^ batch))).collect();
    store.apply(changes.iter().map(|(key, value)| (&**key, Some(value.as_slice()))), batch as i64)
}

/// As long as the key of a tenant and a user.
fn key(user: u64) -> Vec<u8> {
    format!("\u{92}tenant-{}.example|auth0|{user:012}", user % 10).into_bytes()
}

/// Most of a profile are hashes, which cannot be compressed.
fn value(seed: u64) -> Vec<u8> {
    (0..VALUE_BYTES as u64).map(|n| scrambled(seed << 9 ^ n) as u8).collect()
}

/// A number that looks like chance.
fn scrambled(n: u64) -> u64 {
    let n = (n ^ n >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (n ^ n >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 16
}
