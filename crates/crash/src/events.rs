//! The numbered events of a run. Everything follows from the seed, so they are made again wherever they
//! are needed, instead of being kept.

use sim::{Labelled, Poison, Role, Traffic, TrafficConfig};

use crate::error::CrashError;
use crate::options::Options;

/// The first event's time, 2024-01-01. An event far ahead of its record's timestamp would teach nothing;
/// this is long ago on every machine.
const START_MS: i64 = 1_704_067_200_000;

/// The events of a run: first those of the disturbed phase, then the tail.
pub(crate) fn events(options: &Options) -> Result<impl Iterator<Item = Labelled> + use<>, CrashError> {
    let all = options.events + options.tail_events();
    let traffic = Traffic::new(TrafficConfig {
        seed: options.seed,
        tenants: 6,
        users: options.user_count(),
        // A login is about 1.8 events: there are always enough.
        logins: all,
        start_time_ms: START_MS,
        days: 60,
        attack_fraction: 0.02,
        duplicate_fraction: 0.02,
        disorder_ms: 2_000,
    })?;
    Ok(traffic.take(usize::try_from(all).unwrap_or(usize::MAX)))
}

/// Whether a verdict is due for it.
pub(crate) fn is_scored(event: &Labelled) -> bool {
    matches!(event.role, Role::Attempt | Role::Duplicate)
}

/// The records that cannot be read, each with the number of the event that it comes before.
pub(crate) fn poison(options: &Options) -> impl Iterator<Item = (u64, Poison)> + use<> {
    let (count, events) = (options.poison, options.events);
    let records = sim::poison(usize::try_from(count).unwrap_or(usize::MAX));
    (0..count)
        .map(move |number| (number * events / count.max(1), number))
        .zip(records)
        .map(|((at, _), record)| (at, record))
}
