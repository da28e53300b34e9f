//! Speed of making traffic.

use divan::Bencher;
use divan::counter::ItemsCount;
use sim::{Traffic, TrafficConfig};

fn main() {
    divan::main();
}

#[divan::bench(args = [500, 100_000], sample_count = 5)]
fn events_with_users(bencher: Bencher<'_, '_>, users: u32) {
    let config = TrafficConfig { users, logins: 500_000, ..TrafficConfig::default() };
    let events = stream(&config).count();
    bencher.counter(ItemsCount::new(events)).bench(|| stream(&config).map(|event| event.event.len()).sum::<usize>());
}

fn stream(config: &TrafficConfig) -> impl Iterator<Item = sim::Labelled> {
    Traffic::new(config.clone()).into_iter().flatten()
}
