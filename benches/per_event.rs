//! What one event costs: decode, address lookup, user agent, step, encode, and all of it together, with
//! allocations counted. One iteration is one event.
//!
//!     cargo bench -p credence --bench per_event
//!
//! The traffic is the simulator's, attacks, failures and completions included. Half of it warms the
//! state up, so that users have devices, places and recent answers; the other half is measured, each
//! event once: a second time it would be a duplicate. These events are rich (1,170 bytes); the same logins as
//! small events (some 650 bytes) and with nothing but what is scored (some 420) stand beside them. The allocations
//! are counted while the time is taken, which makes the times a little worse than they are.

mod sample;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use assess::Settings;
use credence::data::ScoringContext;
use credence::scoring::{Encoded, Record, Scoring};
use divan::{AllocProfiler, Bencher};
use engine::{Partition, Step};
use intel::deny_lists::{DenyLists, ListIdentity};
use intel::snapshot::{Content, Source};
use intel::{Agents, DenyListSource, Snapshot, Sources};
use model::assessment::Category;
use model::codec::{Encoding, decode};
use model::evidence::Intelligence;
use model::{Confidence, LoginEvent};

/// The binary's allocator, counted.
#[global_allocator]
static ALLOCATOR: AllocProfiler<mimalloc::MiMalloc> = AllocProfiler::new(mimalloc::MiMalloc);

/// Users of the traffic.
const USERS: u32 = 10_000;
/// Scored logins of the traffic: 20 a user.
const LOGINS: u64 = 200_000;
/// Measured events: samples, and events of a sample.
const SAMPLES: u32 = 100;
const EVENTS_A_SAMPLE: u32 = 1000;
const MEASURED: usize = (SAMPLES * EVENTS_A_SAMPLE) as usize;
/// Entries of the large deny list.
const PREFIXES: u32 = 1_000_000;

/// The traffic as records.
struct Records {
    warm: Vec<Vec<u8>>,
    json: Vec<Vec<u8>>,
    msgpack: Vec<Vec<u8>>,
}

static RECORDS: LazyLock<Records> = LazyLock::new(|| {
    let mut warm: Vec<Vec<u8>> = sample::traffic(USERS, LOGINS).map(|labelled| labelled.event).collect();
    let json = warm.split_off(warm.len() - MEASURED);
    let msgpack = json.iter().map(|event| to_msgpack(event)).collect();
    Records { warm, json, msgpack }
});

/// The measured events again, as small as events of other systems are.
static SMALL: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| all_smaller(Keeps::Usual));
/// And with nothing but what is scored.
static LEAST: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| all_smaller(Keeps::Scored));

fn all_smaller(keeps: Keeps) -> Vec<Vec<u8>> {
    RECORDS.json.iter().map(|event| smaller(event, keeps)).collect()
}

/// The small world's data, loaded once; each bench has its own partition.
static CONTEXT: LazyLock<ScoringContext> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let demo = sample::small_world(folder.path());
    sample::context(Settings::default(), sample::snapshot(&sample::sources(&demo)))
});

/// Events that were decoded, each with its step, for the encoders.
static STEPS: LazyLock<Vec<(LoginEvent<'static>, Step)>> = LazyLock::new(|| {
    let mut partition = warm_partition();
    let step = |record: &'static Vec<u8>| {
        let event = decoded(record);
        let step = partition.step(&event, None, &CONTEXT).expect("the state is in memory");
        (event, step)
    };
    RECORDS.json.iter().map(step).collect()
});

fn main() {
    let sizes = |records: &[Vec<u8>]| records.iter().map(Vec::len).sum::<usize>() / records.len();
    let mut written = [(0, 0); 2];
    let mut buffer = Vec::new();
    for (event, step) in STEPS.iter() {
        let count = |of: &mut (usize, usize), bytes: usize| *of = (of.0 + 1, of.1 + bytes);
        if let Some(verdict) = step.verdict(event) {
            Encoding::Json.encode(&verdict, &mut buffer).expect("verdicts can be written");
            count(&mut written[0], buffer.len());
        }
        if let Some(log) = step.log_record(event, "bench") {
            Encoding::Json.encode(&log, &mut buffer).expect("log records can be written");
            count(&mut written[1], buffer.len());
        }
    }
    println!(
        "{USERS} users; {} events to warm up, {MEASURED} measured: {} B as JSON, {} B as MessagePack, {} B small, {} B least; \
         of them come {} verdicts of {} B and {} log records of {} B",
        RECORDS.warm.len(),
        sizes(&RECORDS.json),
        sizes(&RECORDS.msgpack),
        sizes(&SMALL),
        sizes(&LEAST),
        written[0].0,
        written[0].1 / written[0].0,
        written[1].0,
        written[1].1 / written[1].0,
    );
    divan::main();
}

fn to_msgpack(json: &[u8]) -> Vec<u8> {
    let value: serde_json::Value = serde_json::from_slice(json).expect("the traffic is JSON");
    rmp_serde::to_vec_named(&value).expect("JSON can be written as MessagePack")
}

/// What a smaller event keeps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeps {
    /// What is scored: the fields of the README's first example.
    Scored,
    /// That, and what nearly every auth server adds for its logs.
    Usual,
}

/// The same login with fewer fields.
fn smaller(json: &[u8], keeps: Keeps) -> Vec<u8> {
    let mut scratch = String::new();
    let event = decode(json, None, &mut scratch).expect("the traffic can be read");
    let usual = |text: &'static str| if keeps == Keeps::Usual { text } else { "" };
    let user = |id: &str| format!(r#""user_id":"{id}","email":"{id}@example.com""#);
    let user = event.user_id.as_deref().map(user).unwrap_or_default();
    let written = format!(
        r#"{{"id":"{}","time":"{}","stage":"{}","outcome":"{}","tenant":{{"id":"{}"}},"user":{{{user}}},{}"request":{{"ip":"{}","user_agent":"{}"{}}},"device":{{"id":"{}"}}{}}}"#,
        event.id,
        event.time,
        event.stage.as_str(),
        event.outcome.as_str(),
        event.tenant_id,
        usual(r#""client":{"name":"Web portal"},"connection":{"name":"Users","strategy":"auth0"},"#),
        event.ip_text().unwrap_or_default(),
        event.user_agent().unwrap_or_default(),
        usual(
            r#","language":"en","geoip":{"countryCode":"GB","cityName":"London","latitude":51.5074,"longitude":-0.1278}"#
        ),
        event.cookie().unwrap_or_default(),
        usual(r#","transaction":{"protocol":"oidc-basic-profile"}"#),
    );
    decode(written.as_bytes(), None, &mut scratch).expect("texts of the traffic need no escapes");
    written.into_bytes()
}

/// Decodes an event that lives as long as the program: so does its scratch text, which stays empty.
fn decoded(record: &'static [u8]) -> LoginEvent<'static> {
    decode(record, None, Box::leak(Box::default())).expect("the traffic can be read")
}

fn warm_partition() -> Partition {
    let mut partition = Partition::default();
    let mut scratch = String::new();
    for record in &RECORDS.warm {
        let event = decode(record, None, &mut scratch).expect("the traffic can be read");
        partition.step(&event, None, &CONTEXT).expect("the state is in memory");
    }
    partition
}

#[divan::bench_group(sample_count = SAMPLES, sample_size = EVENTS_A_SAMPLE)]
mod event {
    use super::*;

    #[divan::bench]
    fn decode_json(bencher: Bencher<'_, '_>) {
        decode_each(bencher, &RECORDS.json);
    }

    #[divan::bench]
    fn decode_small_json(bencher: Bencher<'_, '_>) {
        decode_each(bencher, &SMALL);
    }

    #[divan::bench]
    fn decode_least_json(bencher: Bencher<'_, '_>) {
        decode_each(bencher, &LEAST);
    }

    #[divan::bench]
    fn decode_msgpack(bencher: Bencher<'_, '_>) {
        decode_each(bencher, &RECORDS.msgpack);
    }

    fn decode_each(bencher: Bencher<'_, '_>, records: &'static [Vec<u8>]) {
        let mut scratch = String::new();
        let mut records = records.iter().cycle();
        bencher.bench_local(|| {
            let event = records.next().map(|record| decode(record, None, &mut scratch));
            black_box(event.is_some_and(|event| event.is_ok()))
        });
    }

    /// The step alone, on users with a history.
    #[divan::bench]
    fn step(bencher: Bencher<'_, '_>) {
        let mut partition = warm_partition();
        let mut events = STEPS.iter().map(|(event, _)| event);
        bencher.bench_local(|| events.next().map(|event| partition.step(event, None, &CONTEXT)));
    }

    #[divan::bench(args = [Encoding::Json, Encoding::MessagePack])]
    fn encode_verdict(bencher: Bencher<'_, '_>, encoding: Encoding) {
        let mut buffer = Vec::new();
        let mut steps = STEPS.iter().cycle();
        bencher.bench_local(|| {
            let verdict = steps.find_map(|(event, step)| step.verdict(event));
            encoding.encode(&verdict, &mut buffer).is_ok()
        });
    }

    #[divan::bench(args = [Encoding::Json, Encoding::MessagePack])]
    fn encode_log_record(bencher: Bencher<'_, '_>, encoding: Encoding) {
        let mut buffer = Vec::new();
        let mut steps = STEPS.iter().cycle();
        bencher.bench_local(|| {
            let log = steps.find_map(|(event, step)| step.log_record(event, "bench"));
            encoding.encode(&log, &mut buffer).is_ok()
        });
    }

    /// Decode, step, verdict and log record: what the target of 3 us is about.
    #[divan::bench(args = [Encoding::Json, Encoding::MessagePack])]
    fn together(bencher: Bencher<'_, '_>, encoding: Encoding) {
        let records = match encoding {
            Encoding::Json => &RECORDS.json,
            Encoding::MessagePack => &RECORDS.msgpack,
        };
        score_each(bencher, records, Scoring::new(encoding, "bench"));
    }

    #[divan::bench]
    fn together_without_log_record(bencher: Bencher<'_, '_>) {
        score_each(bencher, &RECORDS.json, Scoring::new(Encoding::Json, "bench").without_logs());
    }

    #[divan::bench]
    fn small_together(bencher: Bencher<'_, '_>) {
        score_each(bencher, &SMALL, Scoring::new(Encoding::Json, "bench"));
    }

    #[divan::bench]
    fn small_together_without_log_record(bencher: Bencher<'_, '_>) {
        score_each(bencher, &SMALL, Scoring::new(Encoding::Json, "bench").without_logs());
    }

    #[divan::bench]
    fn least_together_without_log_record(bencher: Bencher<'_, '_>) {
        score_each(bencher, &LEAST, Scoring::new(Encoding::Json, "bench").without_logs());
    }

    fn score_each(bencher: Bencher<'_, '_>, records: &[Vec<u8>], mut scoring: Scoring) {
        let mut partition = warm_partition();
        let mut encoded = Encoded::default();
        let mut records = records.iter();
        bencher.bench_local(|| {
            let payload = records.next().map_or(&[][..], Vec::as_slice);
            let record = Record { payload, content_type: None, time: None };
            scoring.score(record, &mut partition, &CONTEXT, &mut encoded, |_, _| ()).is_ok()
        });
    }
}

#[divan::bench_group]
mod user_agent {
    use super::*;

    const TEXT: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                        Chrome/120.0.0.0 Safari/537.36";

    #[divan::bench]
    fn cached(bencher: Bencher<'_, '_>) {
        let agents = Agents::default();
        bencher.bench_local(|| agents.facts(black_box(TEXT)));
    }

    /// A text that was never seen: parsed and put into the cache.
    #[divan::bench(sample_count = SAMPLES, sample_size = 100)]
    fn first_seen(bencher: Bencher<'_, '_>) {
        let agents = Agents::default();
        let mut texts = (0..).map(|number| format!("{TEXT} {number}"));
        bencher.with_inputs(|| texts.next().unwrap_or_default()).bench_local_values(|text| agents.facts(&text));
    }
}

#[divan::bench_group]
mod address {
    use super::*;

    /// The tree of deny lists alone, addresses all over.
    #[divan::bench(sample_count = SAMPLES, sample_size = EVENTS_A_SAMPLE)]
    fn million_prefixes(bencher: Bencher<'_, '_>) {
        let lists = large_lists();
        let mut addresses = (0..).map(spread_v4);
        bencher
            .with_inputs(|| addresses.next().unwrap_or(Ipv4Addr::UNSPECIFIED))
            .bench_local_values(|address| lists.matches(address.into()));
    }

    /// Everything about an address: lists and database.
    #[divan::bench(sample_count = SAMPLES, sample_size = EVENTS_A_SAMPLE)]
    fn facts(bencher: Bencher<'_, '_>) {
        let content = Content {
            city: Source::Ready(small_city()),
            deny_lists: Source::Ready(large_lists()),
            ..Content::default()
        };
        let snapshot = Snapshot::new(content, Agents::default());
        let mut addresses = (0..).map(|number: u32| IpAddr::V4(spread_v4(number)));
        bencher.with_inputs(|| addresses.next()).bench_local_values(|address| address.map(|ip| snapshot.address(ip)));
    }

    /// From the file to a tree that answers.
    #[divan::bench(sample_count = 5)]
    fn load_million_prefixes(bencher: Bencher<'_, '_>) {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("large.netset");
        let lines: Vec<String> = (0..PREFIXES).map(|number| prefix(number).to_string()).collect();
        std::fs::write(&path, lines.join("\n")).expect("a file can be written");
        let list = DenyListSource { name: "large".to_owned(), category: Category::Abuse, path, confidence: None };
        let sources = Sources { deny_lists: vec![list], ..Sources::default() };
        bencher.bench_local(|| sample::snapshot(&sources));
    }

    fn small_city() -> intel::databases::Database {
        let bytes = sim::databases::city().expect("the small world is sound");
        intel::databases::Database::new(bytes).expect("the small world is sound")
    }

    fn large_lists() -> DenyLists {
        let identity =
            ListIdentity { name: "large".into(), category: Category::Abuse, confidence: Some(Confidence::Low) };
        let entries: Vec<_> = (0..PREFIXES).map(prefix).collect();
        let mut lists = DenyLists::default();
        assert!(lists.add(identity, &entries), "one list has room");
        lists
    }

    /// A prefix of the large list: of nine in ten an IPv4 network of 20 to 32 bits, else an IPv6 one.
    fn prefix(number: u32) -> ipnet::IpNet {
        let spread = number.wrapping_mul(0x9e37_79b1);
        let network = if number.is_multiple_of(10) {
            let address = Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(spread) << 64);
            ipnet::IpNet::new(address.into(), 48 + (number % 17) as u8)
        } else {
            ipnet::IpNet::new(Ipv4Addr::from(spread).into(), 20 + (number % 13) as u8)
        };
        network.expect("the length fits the address").trunc()
    }

    /// Addresses all over the IPv4 space, none twice.
    fn spread_v4(number: u32) -> Ipv4Addr {
        Ipv4Addr::from(number.wrapping_mul(0x85eb_ca6b) ^ 0x5bd1_e995)
    }
}
