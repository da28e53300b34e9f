//! The configuration: file, environment, options; what wins, what is refused, what is shown.

use std::path::PathBuf;

use credence::config::{Config, Inputs};
use tempfile::TempDir;

use crate::program;

fn inputs(file: &str, environment: &[(&str, &str)], set: &[&str]) -> Inputs {
    Inputs {
        file: (!file.is_empty()).then(|| (PathBuf::from("/etc/credence/credence.toml"), file.to_owned())),
        environment: environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        set: set.iter().map(|set| (*set).to_owned()).collect(),
        ..Inputs::default()
    }
}

fn read(file: &str, environment: &[(&str, &str)], set: &[&str]) -> Config {
    Config::read(&inputs(file, environment, set)).unwrap()
}

/// The value that a configuration in force shows for a key.
fn shown(config: &Config, key: &str) -> String {
    let text = config.to_toml();
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
    line.unwrap_or_else(|| panic!("{key} is not shown:\n{text}")).to_owned()
}

#[test]
fn options_win_over_the_environment_and_that_over_the_file() {
    for (key, variable, [default, in_file, in_environment, in_option]) in [
        ("travel.floor_km", "CREDENCE_TRAVEL_FLOOR_KM", ["100", "1", "2", "3"]),
        ("kafka.workers", "CREDENCE_KAFKA_WORKERS", ["1", "4", "5", "6"]),
        ("kafka.session_timeout_seconds", "CREDENCE_KAFKA_SESSION_TIMEOUT_SECONDS", ["20", "6", "300", "45"]),
        ("combiner", "CREDENCE_COMBINER", ["\"median\"", "\"strict\"", "\"median\"", "\"strict\""]),
        ("topics.events", "CREDENCE_TOPICS_EVENTS", ["\"login-events\"", "\"a\"", "\"b\"", "\"c\""]),
        ("output.log_challenges", "CREDENCE_OUTPUT_LOG_CHALLENGES", ["true", "false", "true", "false"]),
        ("kafka.properties.\"linger.ms\"", "CREDENCE_KAFKA_PROPERTIES_LINGER_MS", ["", "\"1\"", "\"2\"", "\"3\""]),
    ] {
        let plain = |value: &str| value.trim_matches('"').to_owned();
        let file = format!("{key} = {in_file}");
        let environment = [(variable, plain(in_environment))];
        let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let option = format!("{}={}", key.replace('"', ""), plain(in_option));
        if !default.is_empty() {
            assert_eq!(shown(&read("", &[], &[]), key), default, "{key}");
        }
        assert_eq!(shown(&read(&file, &[], &[]), key), in_file, "{key}");
        assert_eq!(shown(&read(&file, &environment, &[]), key), in_environment, "{key}");
        assert_eq!(shown(&read(&file, &environment, &[&option]), key), in_option, "{key}");
        assert_eq!(shown(&read(&file, &[], &[&option]), key), in_option, "{key}");
    }
}

#[test]
fn a_preset_gives_way_to_keys_that_are_set_wherever_it_stands() {
    let row = "confidence.ImpossibleTravel.\"location_history_not_found\"";
    for (file, environment, set, wanted) in [
        ("", vec![], vec![], "\"high\""),
        ("preset = \"cautious\"", vec![], vec![], "\"neutral\""),
        (
            "preset = \"cautious\"\nconfidence.ImpossibleTravel.location_history_not_found = \"low\"",
            vec![],
            vec![],
            "\"low\"",
        ),
        // Set in the weakest place, under a preset from the strongest: still set.
        (
            "confidence.ImpossibleTravel.location_history_not_found = \"low\"",
            vec![],
            vec!["preset=cautious"],
            "\"low\"",
        ),
        ("preset = \"cautious\"", vec![("CREDENCE_PRESET", "reference")], vec![], "\"high\""),
    ] {
        assert_eq!(shown(&read(file, &environment, &set), row), wanted, "{file} {environment:?} {set:?}");
    }
}

#[test]
fn all_errors_come_at_once_each_with_key_value_and_what_is_allowed() {
    let errors = Config::read(&inputs(
        "travel.floor_km = -1\ndevice.max = \"many\"\nkafka.borkers = \"x\"\n[topics]\nevents = \"no spaces\"\n",
        &[
            ("CREDENCE_COMBINER", "mean"),
            ("CREDENCE_TRAVEL_FLOR_KM", "1"),
            ("CREDENCE_KAFKA_CACHE", "/tmp"),
            ("HOME", "/"),
        ],
        &[
            "learning=never",
            "kafka.session_timeout_seconds=5",
            "no_equals_sign",
            "state.hash_key=secret-but-short",
            "admin.listen=9464",
        ],
    ))
    .unwrap_err();
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    for parts in [
        &["/etc/credence/credence.toml", "`travel.floor_km` = \"-1\"", "allowed are "][..],
        &["/etc/credence/credence.toml", "`device.max` = \"many\"", "allowed are "],
        &["/etc/credence/credence.toml", "unknown key `kafka.borkers`", "did you mean `kafka.brokers`?"],
        &["/etc/credence/credence.toml", "`topics.events` = \"no spaces\"", "allowed are 1 to 249 letters"],
        &["CREDENCE_COMBINER", "`combiner` = \"mean\"", "median", "strict"],
        &["unknown key `CREDENCE_TRAVEL_FLOR_KM`", "did you mean `CREDENCE_TRAVEL_FLOOR_KM`?"],
        &["option --set", "`learning` = \"never\"", "on_decision", "on_attempt"],
        &["option --set", "`kafka.session_timeout_seconds` = \"5\"", "6 to 300 seconds"],
        &["option --set", "no_equals_sign", "KEY=VALUE"],
        &["option --set", "`state.hash_key` = \"[masked]\"", "32 hexadecimal digits"],
        &["option --set", "`admin.listen` = \"9464\"", "an IP address and a port"],
    ] {
        assert!(lines.iter().any(|line| parts.iter().all(|part| line.contains(part))), "{parts:?} in {lines:#?}");
    }
    assert_eq!(lines.len(), 11, "{lines:#?}");
    assert!(!lines.concat().contains("secret-but-short"), "{lines:#?}");
}

#[test]
fn a_file_that_is_not_toml_is_told_with_its_place() {
    let errors = Config::read(&inputs("travel.floor_km = = 1\n", &[], &["combiner=mean"])).unwrap_err();
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(
        lines[0].starts_with("/etc/credence/credence.toml: not TOML: ") && lines[0].contains("line 1"),
        "{lines:#?}"
    );
}

#[test]
fn secrets_are_masked() {
    let config = read(
        "kafka.properties.\"sasl.password\" = \"hunter2\"\nkafka.properties.\"ssl.key.pem\" = \"hunter2\"\n",
        &[
            ("CREDENCE_STATE_HASH_KEY", "00112233445566778899aabbccddeeff"),
            ("CREDENCE_KAFKA_PROPERTIES_SASL_USERNAME", "hunter2"),
        ],
        &["kafka.properties.ssl.keystore.password=hunter2", "kafka.properties.ssl.ca.location=/etc/ca.pem"],
    );
    let text = config.to_toml();
    for secret in ["hunter2", "00112233", "ddeeff"] {
        assert!(!text.contains(secret), "{secret} is shown:\n{text}");
    }
    assert_eq!(shown(&config, "state.hash_key"), "\"[masked]\"");
    assert_eq!(shown(&config, "kafka.properties.\"sasl.password\""), "\"[masked]\"");
    assert_eq!(shown(&config, "kafka.properties.\"ssl.ca.location\""), "\"/etc/ca.pem\"");
    // What is passed on is what was set.
    assert_eq!(config.properties["sasl.password"], "hunter2");
    assert_eq!(config.properties["sasl.username"], "hunter2");
}

#[test]
fn paths_of_the_file_are_relative_to_it_and_others_to_the_working_folder() {
    let file = r#"
        data.city = "city.mmdb"
        data.asn = "/data/asn.mmdb"
        data.relay_lists = ["relays/v4.csv", "relays/v6.csv"]
        [[data.deny_lists]]
        name = "tor-exits"
        category = "tor"
        path = "lists/tor.txt"
        [[data.deny_lists]]
        name = "office-vpn"
        category = "vpn"
        path = "/data/vpn.txt"
        confidence = "high"
    "#;
    let sources = read(file, &[], &[]).sources;
    assert_eq!(sources.city, Some("/etc/credence/city.mmdb".into()));
    assert_eq!(sources.asn, Some("/data/asn.mmdb".into()));
    assert_eq!(sources.relay_lists, ["/etc/credence/relays/v4.csv", "/etc/credence/relays/v6.csv"].map(PathBuf::from));
    let lists: Vec<_> = sources
        .deny_lists
        .iter()
        .map(|list| (list.name.as_str(), list.category.as_str(), list.path.to_str().unwrap(), list.confidence))
        .collect();
    let high = Some(model::Confidence::High);
    let wanted =
        [("tor-exits", "tor", "/etc/credence/lists/tor.txt", None), ("office-vpn", "vpn", "/data/vpn.txt", high)];
    assert_eq!(lists, wanted);

    // An option replaces the whole key.
    let mut inputs = inputs(file, &[("CREDENCE_DATA_CITY", "here.mmdb")], &[]);
    inputs.relay_lists = vec!["a,b.csv".into()];
    inputs.deny_lists = vec!["name=x,category=abuse,path=x.txt".to_owned()];
    let sources = Config::read(&inputs).unwrap().sources;
    assert_eq!(sources.city, Some("here.mmdb".into()));
    assert_eq!(sources.relay_lists, [PathBuf::from("a,b.csv")]);
    assert_eq!((sources.deny_lists.len(), sources.deny_lists[0].path.to_str()), (1, Some("x.txt")));
}

#[test]
fn what_is_printed_can_be_read_again() {
    let config = read(
        "preset = \"cautious\"\nallow = [\"192.0.2.0/24\", \"2001:db8::/32\"]\ndevice.max = 5\ndata.city = \"c.mmdb\"\n",
        &[],
        &["confidence.NewDevice.partial_match=low", "kafka.properties.linger.ms=2", "log.format=json"],
    );
    let printed = config.to_toml();
    assert_eq!(read(&printed, &[], &[]).to_toml(), printed);
}

#[test]
fn the_sample_in_the_readme_is_a_configuration() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    let sample = readme.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let config = read(sample, &[], &[]);
    assert_ne!(config.to_toml(), Config::default().to_toml());
}

#[test]
fn print_config_and_check_show_the_whole_configuration_in_force() {
    let folder = TempDir::new().unwrap();
    let options = ["--set", "travel.floor_km=42", "--set", "kafka.properties.sasl.password=hunter2"];
    let printed = program::run(
        program::credence(folder.path()).args(["run", "--print-config"]).args(options).env("CREDENCE_DEVICE_MAX", "7"),
        b"",
    );
    assert_eq!(printed.status, Some(0), "{}", printed.stderr);
    for key in credence::config::all_keys() {
        let quoted = key.split_once('.').map_or(key.clone(), |(first, rest)| match rest.split_once('.') {
            Some((assessor, code)) if first == "confidence" => format!("confidence.{assessor}.\"{code}\""),
            _ => key.clone(),
        });
        assert!(printed.stdout.lines().any(|line| line.contains(&quoted)), "{key} is not shown:\n{}", printed.stdout);
    }
    assert!(printed.stdout.contains("\ntravel.floor_km = 42\n") && printed.stdout.contains("\ndevice.max = 7\n"));
    assert!(!printed.stdout.contains("hunter2"), "{}", printed.stdout);

    let checked = program::run(program::credence(folder.path()).arg("check").args(options), b"");
    assert_eq!(checked.status, Some(0), "{}", checked.stderr);
    assert!(checked.stdout.contains("\ntravel.floor_km = 42\n") && checked.stdout.contains("everything is in order"));
    let refused = program::run(program::credence(folder.path()).args(["check", "--set", "travel.flor_km=1"]), b"");
    assert_eq!(refused.status, Some(1));
    assert!(refused.stderr.contains("did you mean `travel.floor_km`?"), "{}", refused.stderr);
}
