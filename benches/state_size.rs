//! What a user costs in memory: one million users, each with three devices and two places.
//!
//!     cargo bench -p credence --bench state_size
//!
//! The profiles are built by the engine's step from login events. Three logins teach the three devices
//! and the two places; with eight, all recent answers are there too, which is a user's usual state.

mod sample;

use std::process::Command;

use assess::{Learning, Settings};
use credence::data::ScoringContext;
use engine::Partition;
use model::codec::decode;

/// The binary's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USERS: u32 = 1_000_000;
/// Logins a user: as few as teach everything, and enough for all recent answers.
const LOGINS: [u32; 2] = [3, 8];

/// Without an argument of its own it measures each number of logins in a process of its own: memory that
/// one measurement has freed would hide what the next one takes.
fn main() -> std::io::Result<()> {
    if let Some(logins) = std::env::args().nth(1).and_then(|argument| argument.parse().ok()) {
        measure(logins);
        return Ok(());
    }
    println!("{USERS} users, each with 3 devices and 2 places; bytes a user");
    println!("{:<8} {:>14} {:>8} {:>8} {:>10}", "answers", "packed profile", "table", "sum", "resident");
    for logins in LOGINS {
        let status = Command::new(std::env::current_exe()?).arg(logins.to_string()).status()?;
        assert!(status.success(), "the measurement ended with {status}");
    }
    Ok(())
}

fn measure(logins: u32) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let sources = sample::sources(&sample::small_world(folder.path()));
    let mut settings = Settings::default();
    settings.learning = Learning::OnAttempt;
    let context = sample::context(settings, sample::snapshot(&sources));
    // Fills the caches of addresses and user agents, which are not the users'.
    log_all_in(&mut Partition::default(), &context, 1000, logins);
    let before = sample::resident_bytes();
    let mut partition = Partition::default();
    log_all_in(&mut partition, &context, USERS, logins);
    let resident = sample::resident_bytes().saturating_sub(before) / USERS as usize;
    check(&mut partition, logins);
    let stats = partition.stats();
    let (packed, table) = (stats.packed_bytes / stats.profiles, stats.table_bytes / stats.profiles);
    println!("{logins:<8} {packed:>14} {table:>8} {:>8} {resident:>10}", packed + table);
}

/// Every user logs in once, then every user again, and so on, as in real traffic.
fn log_all_in(partition: &mut Partition, context: &ScoringContext, users: u32, logins: u32) {
    let mut scratch = String::new();
    for login in 0..logins {
        for user in 0..users {
            let event = sample::login(user, login);
            let event = decode(event.as_bytes(), None, &mut scratch).expect("the event can be read");
            partition.step(&event, None, context).expect("the state is in memory");
        }
    }
}

/// Reads some profiles back: nothing is measured that is not there.
fn check(partition: &mut Partition, logins: u32) {
    assert_eq!(partition.stats().profiles, USERS as usize);
    for user in (0..USERS).step_by(997) {
        let (tenant, id) = (format!("tenant-{}.example", user % 10), format!("auth0|{user:06}"));
        let profile = partition.profile(&tenant, &id, &sample::fingerprints()).expect("the profile can be read");
        let found = (profile.devices.0.len(), profile.places.stored.len(), profile.answers.len() as u32);
        assert_eq!(found, (3, 2, logins), "devices, places and answers of user {user}");
    }
    assert_eq!(partition.stats().corrupt, 0);
}
