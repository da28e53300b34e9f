//! State that is larger than memory: the same logins through a partition that keeps everything in memory,
//! and through one with a tenth of the room on a local store. The verdicts must be the same to the byte.
//!
//!     cargo bench -p credence --bench state_budget [-- USERS [BUDGET_MIB]]
//!
//! Every user logs in three times, in an order that looks like chance. Changes are stored every 2,000
//! logins, in line, so that what they cost is in the figures.

mod sample;

use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use assess::{Learning, Settings};
use credence::scoring::{Encoded, Record, Scoring};
use engine::{Backing, BackingError, Partition};
use model::Encoding;
use store::{Identity, Options, PartitionStore, Stores};

/// The binary's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USERS: u32 = 200_000;
const LOGINS: u32 = 3;
const BATCH: u32 = 2_000;
/// What a user takes in memory, roughly: for a budget of a tenth of it.
const USER_BYTES: usize = 600;

type AnyError = Box<dyn std::error::Error>;

/// Each form is measured in a process of its own: memory that one has freed would hide what the next takes.
fn main() -> Result<(), AnyError> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let number = |position: usize| arguments.get(position).and_then(|argument| argument.parse::<u32>().ok());
    let users = number(0).unwrap_or(USERS);
    let budget = number(1).map_or(users as usize * USER_BYTES / 10, |mib| (mib as usize) << 20);
    match arguments.get(2).map(String::as_str) {
        Some("memory") => return measure(users, Partition::default(), None),
        Some("store") => return on_a_store(users, budget),
        _ => {}
    }
    println!("{users} users, {LOGINS} logins each, budget {} MiB", budget >> 20);
    println!("us an event, and of that running:");
    println!(
        "{:<8} {:>10} {:>10} {:>10} {:>10} {:>10} {:>7}  verdicts",
        "state", "scored", "running", "stored", "running", "resident", "hits"
    );
    let mut verdicts = Vec::new();
    for form in ["memory", "store"] {
        let budget_mib = (budget >> 20).to_string();
        let output = Command::new(std::env::current_exe()?).args([&*users.to_string(), &*budget_mib, form]).output()?;
        let line = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !output.status.success() {
            return Err(
                format!("{form} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr)).into()
            );
        }
        println!("{form:<8} {line}");
        verdicts.push(line.split_whitespace().last().map(str::to_owned));
    }
    assert_eq!(verdicts[0], verdicts[1], "the verdicts of both forms are the same");
    Ok(())
}

fn on_a_store(users: u32, budget: usize) -> Result<(), AnyError> {
    let folder = tempfile::tempdir()?;
    let identity = Identity {
        cluster_id: "bench".to_owned(),
        topic: "credence-profiles".to_owned(),
        partitions: 1,
        key_check: String::new(),
    };
    let store = Stores::open(folder.path(), &identity, &Options::default())?.partition(0)?;
    let partition = Partition::open(Arc::new(OnDisk(store.clone())), budget)?;
    measure(users, partition, Some(&store))
}

fn measure(users: u32, mut partition: Partition, store: Option<&PartitionStore>) -> Result<(), AnyError> {
    let folder = tempfile::tempdir()?;
    let sources = sample::sources(&sample::small_world(folder.path()));
    let mut settings = Settings::default();
    settings.learning = Learning::OnAttempt;
    let context = sample::context(settings, sample::snapshot(&sources));
    let mut scoring = Scoring::new(Encoding::Json, "bench").without_logs();
    let (mut out, mut verdicts) = (Encoded::default(), DefaultHasher::new());
    let before = sample::resident_bytes();
    let (mut scored, mut stored) = (Spent::default(), Spent::default());
    for login in 0..LOGINS {
        let mut order = Order::new(users, login);
        for first in (0..users).step_by(BATCH as usize) {
            let events: Vec<String> =
                (first..users.min(first + BATCH)).map(|_| sample::login(order.next(), login)).collect();
            let (start, ran) = (Instant::now(), sample::thread_time());
            for event in &events {
                let record = Record { payload: event.as_bytes(), content_type: None, time: None };
                scoring.score(record, &mut partition, &context, &mut out, |_, _| ())?;
                verdicts.write(&out.verdict);
            }
            scored.add(start, ran);
            let (start, ran) = (Instant::now(), sample::thread_time());
            if let Some(store) = store {
                let batch = u64::from(login) * u64::from(users) + u64::from(first);
                let mut changes = Vec::new();
                partition.take_changes(batch, |key, value| changes.push((key.to_vec(), value.map(<[u8]>::to_vec))));
                store.apply(changes.iter().map(|(key, value)| (&**key, value.as_deref())), batch as i64)?;
                partition.stored(batch);
                stored.add(start, ran);
            }
        }
    }
    let stats = partition.stats();
    let us = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(users) / f64::from(LOGINS);
    println!(
        "{:>10.2} {:>10.2} {:>10.2} {:>10.2} {:>6} MiB {:>5} %  {:016x}",
        us(scored.took),
        us(scored.ran),
        us(stored.took),
        us(stored.ran),
        sample::resident_bytes().saturating_sub(before) >> 20,
        stats.hits * 100 / (stats.hits + stats.misses).max(1),
        verdicts.finish(),
    );
    Ok(())
}

/// Time that something took.
#[derive(Default)]
struct Spent {
    took: Duration,
    /// How much of it this thread ran.
    ran: Duration,
}

impl Spent {
    fn add(&mut self, start: Instant, ran: Duration) {
        self.took += start.elapsed();
        self.ran += sample::thread_time().saturating_sub(ran);
    }
}

/// All users once, in an order that looks like chance and is another one for each round: a walk by a number
/// that shares no factor with theirs.
struct Order {
    users: u64,
    step: u64,
    at: u64,
}

impl Order {
    fn new(users: u32, round: u32) -> Self {
        let users = u64::from(users.max(1));
        let common = |mut a: u64, mut b: u64| {
            while b > 0 {
                (a, b) = (b, a % b);
            }
            a
        };
        // The golden section spreads best; one of the next numbers has no factor in common.
        let least = (users as f64 * (0.618_034 * f64::from(round + 1)).fract()) as u64;
        let step = (least.max(1)..least.max(1) + users).find(|step| common(*step, users) == 1).unwrap_or(1);
        Self { users, step, at: 0 }
    }

    fn next(&mut self) -> u32 {
        self.at = (self.at + self.step) % self.users;
        self.at as u32
    }
}

/// The local store as what stands behind a partition.
#[derive(Debug)]
struct OnDisk(PartitionStore);

impl Backing for OnDisk {
    fn get(&self, key: &[u8]) -> Result<Option<Box<[u8]>>, BackingError> {
        self.0.get(key).map_err(|error| BackingError::Failed(error.into()))
    }

    fn scan(&self, from: &[u8], limit: usize, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), BackingError> {
        self.0.scan(from, limit, each).map_err(|error| BackingError::Failed(error.into()))
    }
}
