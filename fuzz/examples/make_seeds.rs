//! Makes the seeds anew: `cargo run --example make_seeds` in this folder. The same bytes every time.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use assess::Settings;
use engine::{Context, Partition};
use intel::snapshot::Content;
use intel::{Agents, Snapshot};
use mmdb_writer::{Value, Writer};
use model::codec::decode;
use profile::{Fingerprints, HashKey, packed};
use sim::{Traffic, TrafficConfig};

/// Longest seed in bytes: long ones make fuzzing slow.
const MAX_SEED_BYTES: usize = 1600;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for target in ["decode_json", "decode_msgpack", "list", "packed", "database"] {
        let of_target = folder.join(target);
        let _ = fs::remove_dir_all(&of_target);
        fs::create_dir_all(&of_target)?;
    }
    let save = |target: &str, name: &str, bytes: &[u8]| fs::write(folder.join(target).join(name), bytes);

    let config = TrafficConfig { users: 20, tenants: 3, logins: 400, ..TrafficConfig::default() };
    let traffic: Vec<_> = Traffic::new(config)?.collect();
    for (number, labelled) in traffic.iter().step_by(40).enumerate() {
        save("decode_json", &format!("event-{number}"), &labelled.event)?;
        let value: serde_json::Value = serde_json::from_slice(&labelled.event)?;
        save("decode_msgpack", &format!("event-{number}"), &rmp_serde::to_vec_named(&value)?)?;
    }
    for poison in sim::poison(32).filter(|poison| poison.bytes.len() <= MAX_SEED_BYTES) {
        let target = if poison.what == "broken_messagepack" { "decode_msgpack" } else { "decode_json" };
        save(target, poison.what, &poison.bytes)?;
        if let Ok(value) = serde_json::from_slice::<serde_json::Value>(&poison.bytes) {
            save("decode_msgpack", poison.what, &rmp_serde::to_vec_named(&value)?)?;
        }
    }

    let mut lists = sim::lists::deny_lists();
    lists.truncate(16);
    for list in &lists {
        save("list", list.name, head(&list.text))?;
    }
    save("list", "relay", head(&sim::lists::relay_csv()))?;

    let snapshot = Snapshot::new(Content::default(), Agents::default());
    let fingerprints = Fingerprints::new(HashKey(*b"fuzzing uses it!"));
    let context = Context::new(Arc::new(Settings::default()), "fuzz".into(), snapshot, fingerprints.clone());
    let mut partition = Partition::default();
    let mut scratch = String::new();
    for labelled in &traffic {
        partition.step(&decode(&labelled.event, None, &mut scratch)?, None, &context);
    }
    for (number, labelled) in traffic.iter().step_by(traffic.len() / 12).enumerate() {
        let user = labelled.user_id.as_deref().unwrap_or_default();
        let profile = partition.profile(&labelled.tenant, user, &fingerprints);
        save("packed", &format!("profile-{number}"), &packed::pack(&profile?))?;
    }

    save("database", "city", &small_database()?)?;
    Ok(())
}

/// The first lines.
fn head(text: &str) -> &[u8] {
    &text.as_bytes()[..text.len().min(600)]
}

/// A database of three networks with all fields that are read.
fn small_database() -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let names = |name: &str| Value::map([("en", Value::from(name))]);
    let record = |name: &str| {
        Value::map([
            ("city", Value::map([("names", names(name))])),
            ("continent", Value::map([("code", "EU")])),
            ("country", Value::map([("iso_code", Value::from("NL")), ("names", names("The Netherlands"))])),
            (
                "location",
                Value::map([
                    ("latitude", Value::from(52.374)),
                    ("longitude", Value::from(4.8897)),
                    ("accuracy_radius", Value::from(20_u16)),
                    ("time_zone", Value::from("Europe/Amsterdam")),
                ]),
            ),
            ("subdivisions", Value::array([Value::map([("iso_code", "NH")])])),
            ("traits", Value::map([("is_satellite_provider", true), ("is_anonymous_vpn", true)])),
            ("autonomous_system_number", Value::from(64_512_u32)),
            ("autonomous_system_organization", Value::from("Example")),
        ])
    };
    let mut writer = Writer::builder("GeoLite2-City").build_epoch(std::time::UNIX_EPOCH).build();
    for (third, name) in [(100, "Amsterdam"), (101, "Rotterdam")] {
        let network = format!("{}/24", Ipv4Addr::new(198, 51, third, 0));
        writer.insert_value(network.parse::<ipnet::IpNet>()?, record(name))?;
    }
    writer.insert_value("2001:db8::/32".parse::<ipnet::IpNet>()?, record("Utrecht"))?;
    Ok(writer.to_bytes()?)
}
