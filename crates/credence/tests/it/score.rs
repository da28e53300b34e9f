//! `credence score` on its command line: exit statuses, streams, files, configuration.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;

use mmdb_writer::{Value as Data, Writer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{Ran, credence, run};

fn event(id: &str, minute: i64) -> String {
    json!({
        "id": id, "time": 1_772_438_400_000_i64 + minute * 60_000,
        "tenant": { "id": "acme.example" }, "user": { "user_id": "u1" },
        "request": { "ip": "192.0.2.7", "user_agent": "Example/1.0" }, "device": { "id": "c1" }
    })
    .to_string()
}

/// Runs `credence score` in a folder with these arguments and this input.
fn score(folder: &Path, args: &[&str], input: &str) -> Ran {
    run(credence(folder).arg("score").args(args), input.as_bytes())
}

fn room() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn values(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ids(text: &str) -> Vec<String> {
    values(text).iter().map(|verdict| verdict["event_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_exit_status_tells_whether_every_line_was_read() {
    let room = room();
    let good = event("a", 0);
    for (name, args, input, status) in [
        ("no line", vec![], String::new(), 0),
        ("a good line", vec![], good.clone(), 0),
        ("blank lines", vec![], format!("\n  \n{good}\n\t\r\n\n"), 0),
        ("a dead line", vec![], format!("{good}\nnonsense\n"), 2),
        ("only dead lines", vec![], "{\n[]\n".to_owned(), 2),
        ("a bad key", vec!["--set", "no.such=1"], good.clone(), 1),
        ("a file that is not there", vec!["missing.jsonl"], good.clone(), 1),
        ("a configuration that is not there", vec!["--config", "missing.toml"], good.clone(), 1),
        ("a database that is not there", vec!["--city", "missing.mmdb"], good.clone(), 1),
        ("a log file that cannot be written", vec!["--logs", "no/such/folder"], good.clone(), 1),
    ] {
        let ran = score(room.path(), &args, &input);
        assert_eq!(ran.status, Some(status), "{name}: {}", ran.stderr);
        if status == 1 {
            assert_eq!(ran.stdout, "", "{name}");
            assert!(ran.stderr.starts_with("credence: "), "{name}: {}", ran.stderr);
        } else {
            assert!(ran.stderr.contains(" verdicts "), "{name}: there is a summary: {}", ran.stderr);
        }
    }
}

#[test]
fn verdicts_come_in_the_order_of_the_input() {
    let room = room();
    let input: Vec<String> = (0..200).map(|n| event(&format!("e{n}"), (n * 7) % 50)).collect();
    let ran = score(room.path(), &[], &input.join("\n"));
    assert_eq!(ids(&ran.stdout), (0..200).map(|n| format!("e{n}")).collect::<Vec<_>>());
    let verdict = &values(&ran.stdout)[0];
    let keys: Vec<_> = verdict.as_object().unwrap().keys().collect();
    let wanted = ["data_versions", "decision", "event_id", "risk_assessment", "tenant", "time", "user_id"];
    assert_eq!(keys, wanted);
    assert_eq!(verdict["time"], json!("2026-03-02T08:00:00.000Z"));
}

#[test]
fn several_files_are_one_stream() {
    let room = room();
    fs::write(room.path().join("1.jsonl"), event("a", 0) + "\nbroken\n").unwrap();
    fs::write(room.path().join("2.jsonl"), format!("\n{}", event("b", 1))).unwrap();
    let ran = score(room.path(), &["--dead", "dead.jsonl", "1.jsonl", "2.jsonl", "1.jsonl"], "ignored");
    assert_eq!(ran.status, Some(2));
    assert_eq!(ids(&ran.stdout), ["a", "b", "a"]);
    let verdicts = values(&ran.stdout);
    assert_eq!(verdicts[0], verdicts[2], "the repeated attempt gets its first answer");
    assert_eq!(verdicts[1]["risk_assessment"]["assessments"]["NewDevice"]["code"], json!("match"));
    let dead = values(&fs::read_to_string(room.path().join("dead.jsonl")).unwrap());
    let named: Vec<_> = dead.iter().map(|line| (line["file"].clone(), line["line"].clone())).collect();
    assert_eq!(named, [(json!("1.jsonl"), json!(2)), (json!("1.jsonl"), json!(2))]);
    // One that is missing is known before the first verdict.
    let ran = score(room.path(), &["1.jsonl", "missing.jsonl"], "");
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(1), ""));
    assert!(ran.stderr.contains("missing.jsonl"), "{}", ran.stderr);
}

#[test]
fn everything_that_prevents_a_start_is_told_at_once() {
    let room = room();
    fs::create_dir(room.path().join("folder")).unwrap();
    fs::write(room.path().join("good.jsonl"), event("a", 0)).unwrap();
    fs::write(room.path().join("dead.jsonl"), "of an earlier run").unwrap();
    let files = ["--logs", "no/such/logs", "--dead", "dead.jsonl", "missing.jsonl", "good.jsonl", "folder"];
    let named = ["no/such/logs cannot be written", "missing.jsonl cannot be read", "folder cannot be read"];
    for (more, also) in [
        (vec![], vec![]),
        (vec!["--city", "missing.mmdb"], vec!["missing.mmdb"]),
        (vec!["--set", "no.such=1", "--city", "missing.mmdb"], vec!["no.such", "missing.mmdb"]),
        (vec!["--config", "missing.toml", "--set", "no.such=1"], vec!["missing.toml", "no.such"]),
    ] {
        let ran = score(room.path(), &[&more[..], &files].concat(), "");
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(1), ""), "{more:?}");
        for part in named.iter().chain(&also) {
            assert!(ran.stderr.lines().any(|line| line.contains(part)), "{part} is not told: {}", ran.stderr);
        }
        let count = format!("credence: {} errors in ", named.len() + also.len());
        assert!(ran.stderr.starts_with(&count), "{}", ran.stderr);
        let kept = fs::read_to_string(room.path().join("dead.jsonl")).unwrap();
        assert_eq!(kept, "of an earlier run", "a run that did not start");
    }
    // Printing the configuration opens none of them; a run that starts begins its outputs anew.
    let printed = score(room.path(), &[&["--print-config"], &files[..]].concat(), "");
    assert_eq!(printed.status, Some(0), "{}", printed.stderr);
    let ran = score(room.path(), &["--dead", "dead.jsonl", "good.jsonl"], "");
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(room.path().join("dead.jsonl")).unwrap(), "");
}

#[test]
fn a_database_whose_coordinates_are_no_numbers_is_answered_and_logged() {
    let room = room();
    let mut writer = Writer::new("Example-City");
    for (network, latitude, longitude) in [("192.0.2.0/24", f64::NAN, f64::INFINITY), ("198.51.100.0/24", 51.5, -0.1)] {
        let numbers = [("latitude", latitude), ("longitude", longitude), ("accuracy_radius", 10.0)];
        let location = Data::map(numbers.map(|(name, number)| (name, Data::from(number))));
        let city = Data::map([("names", Data::map([("en", Data::from("Example"))]))]);
        let network = model::parse_network(network).unwrap();
        writer.insert_value(network, Data::map([("location", location), ("city", city)])).unwrap();
    }
    fs::write(room.path().join("city.mmdb"), writer.to_bytes().unwrap()).unwrap();
    let input = format!("{}\n{}", event("a", 0).replace("192.0.2.7", "198.51.100.7"), event("b", 60));
    let args = ["--city", "city.mmdb", "--logs", "logs.jsonl", "--set", "learning=on_attempt"];
    let ran = score(room.path(), &args, &input);
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    let travel = &values(&ran.stdout)[1]["risk_assessment"]["assessments"]["ImpossibleTravel"];
    assert_eq!(travel, &json!({"confidence": "low", "code": "invalid_travel"}));
    let logs = values(&fs::read_to_string(room.path().join("logs.jsonl")).unwrap());
    assert_eq!(logs[1]["data"]["location_info"], json!({"city_name": "Example"}));
}

#[test]
fn logs_and_dead_lines_are_written_to_files() {
    let room = room();
    let failed = event("f", 1).replacen('{', r#"{"outcome":"failed_password","#, 1);
    let too_long = format!("{{\"x\":\"{}\"}}", "y".repeat(1024 * 1024));
    let input =
        [&event("a", 0), "\u{feff}{}", &event("a", 0), &failed, "", &too_long, "{\"id\":1}", &event("b", 2)].join("\n");
    let ran = score(room.path(), &["--logs", "logs.jsonl", "--dead", "dead.jsonl"], &input);
    assert_eq!(ran.status, Some(2), "{}", ran.stderr);
    assert_eq!(ids(&ran.stdout), ["a", "a", "b"]);
    let logs = values(&fs::read_to_string(room.path().join("logs.jsonl")).unwrap());
    let kinds: Vec<_> = logs.iter().map(|log| log["data"]["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["s", "fp", "s"]);
    for log in &logs {
        let keys: Vec<_> = log.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["data", "log_id"]);
    }
    let dead = values(&fs::read_to_string(room.path().join("dead.jsonl")).unwrap());
    let named: Vec<_> =
        dead.iter().map(|line| (line["line"].as_u64().unwrap(), line["reason"].as_str().unwrap())).collect();
    assert_eq!(named, [(2, "not_json"), (6, "too_large"), (7, "wrong_type")]);
}

#[test]
fn an_output_is_no_other_file_of_the_same_run() {
    let room = room();
    let path = |name: &str| room.path().join(name);
    fs::write(path("in.jsonl"), event("a", 0)).unwrap();
    std::os::unix::fs::symlink("in.jsonl", path("link.jsonl")).unwrap();
    for (args, told) in [
        (&["--logs", "out", "--dead", "out", "in.jsonl"][..], "--dead out is the same file as --logs out"),
        (&["--logs", "link.jsonl", "in.jsonl"], "--logs link.jsonl is the same file as the input in.jsonl"),
    ] {
        let ran = score(room.path(), args, "");
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(1), ""), "{args:?}");
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
        assert_eq!(fs::read_to_string(path("in.jsonl")).unwrap(), event("a", 0), "nothing is lost");
    }
    let ran = score(room.path(), &["--logs", "/dev/null", "--dead", "/dev/null", "in.jsonl"], "");
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
}

#[test]
fn an_output_that_refuses_is_named() {
    let room = room();
    fs::write(room.path().join("in.jsonl"), event("a", 0)).unwrap();
    let ran = score(room.path(), &["--logs", "/dev/full", "in.jsonl"], "");
    assert_eq!(ran.status, Some(1));
    assert!(ran.stderr.contains("the log records cannot be written (--logs)"), "{}", ran.stderr);
}

#[test]
fn lines_that_are_no_utf8_are_dead_and_do_no_harm() {
    let room = room();
    let mut input = event("a", 0).into_bytes();
    input.extend(b"\n\xff\xfe\x00\n{\"id\":\"\xc3\x28\"}\n");
    input.extend(event("b", 1).into_bytes());
    let ran = run(credence(room.path()).args(["score", "--dead", "dead.jsonl"]), &input);
    assert_eq!((ran.status, ids(&ran.stdout)), (Some(2), vec!["a".to_owned(), "b".to_owned()]));
    let dead = values(&fs::read_to_string(room.path().join("dead.jsonl")).unwrap());
    assert_eq!(dead.iter().map(|line| line["reason"].as_str().unwrap()).collect::<Vec<_>>(), ["invalid_utf8"; 2]);
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let room = room();
    let mut child = credence(room.path())
        .arg("score")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        // Far more than all buffers hold; an error means that nobody reads any more.
        (0..50_000).take_while(|n| writeln!(stdin, "{}", event(&format!("e{n}"), *n)).is_ok()).count()
    });
    let mut first = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut first).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!stderr.contains("roken pipe") && !stderr.contains("panic"), "{stderr}");
    assert!(first.contains("\"e0\""));
}

#[test]
fn all_errors_of_the_configuration_at_once() {
    let room = room();
    let file =
        "preset = \"bold\"\ntravel.florr_km = 5\n[device]\nremember_for_days = 366\n[kafka]\nworkers = \"many\"\n";
    fs::write(room.path().join("c.toml"), file).unwrap();
    let args = [
        "--config",
        "c.toml",
        "--set",
        "combiner=mean",
        "--set",
        "nonsense",
        "--allow",
        "0.0.0.0/0",
        "--deny-list",
        "name=a,category=b,path=c",
        "--set",
        "confidence.NewDevice.match=maybe",
        "--set",
        "force_low=NewDevice.no_such",
    ];
    let ran = run(
        credence(room.path()).env("CREDENCE_DEDUP_MAX", "-1").env("CREDENCE_NO_SUCH", "1").arg("score").args(args),
        b"",
    );
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(1), ""));
    for (part, more) in [
        ("`preset`", "reference, cautious"),
        ("`travel.florr_km`", "`travel.floor_km`"),
        ("`device.remember_for_days`", "1 to 365"),
        ("`kafka.workers`", "1 to 64"),
        ("`combiner`", "median, strict"),
        ("`nonsense`", "KEY=VALUE"),
        ("`allow`", "0.0.0.0/0"),
        ("`data.deny_lists`", "category"),
        ("`confidence.NewDevice.match`", "low, medium, high, neutral"),
        ("`force_low`", "no_such"),
        ("CREDENCE_DEDUP_MAX", "0 to 64"),
        ("CREDENCE_NO_SUCH", "unknown key"),
    ] {
        let named = ran.stderr.lines().any(|line| line.contains(part) && line.contains(more));
        assert!(named, "{part} with {more} in:\n{}", ran.stderr);
    }
    assert!(ran.stderr.contains("12 errors"), "{}", ran.stderr);
}

#[test]
fn all_errors_of_databases_and_lists_at_once() {
    let room = room();
    fs::write(room.path().join("empty.txt"), "").unwrap();
    fs::write(room.path().join("page.txt"), "<html><body>502 Bad Gateway</body></html>\n").unwrap();
    fs::write(room.path().join("bad.mmdb"), "no database").unwrap();
    let sources = [
        "--city",
        "bad.mmdb",
        "--asn",
        "missing.mmdb",
        "--deny-list",
        "name=a,category=vpn,path=empty.txt",
        "--deny-list",
        "name=b,category=tor,path=page.txt",
        "--relay-list",
        "missing.txt",
    ];
    let ran = score(room.path(), &sources, &event("a", 0));
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(1), ""));
    for part in ["bad.mmdb", "missing.mmdb", "empty.txt", "page.txt", "missing.txt", "5 errors"] {
        assert!(ran.stderr.contains(part), "{part} in:\n{}", ran.stderr);
    }
    // The same, but started all the same: what depends on a source has failed, and says so.
    let degraded = [&sources[..], &["--set", "on_missing_data=degrade"]].concat();
    let ran = score(room.path(), &degraded, &event("a", 0));
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("started without it").count(), 5, "{}", ran.stderr);
    let verdict = &values(&ran.stdout)[0]["risk_assessment"]["assessments"];
    // A City database that could not be loaded still counts as configured: it has no record.
    assert_eq!(verdict["ImpossibleTravel"]["code"], json!("missing_geoip"));
    assert_eq!(verdict["UntrustedIP"]["code"], json!("assessment_not_available"));
}

#[test]
fn options_win_over_the_environment_and_that_over_the_file() {
    let room = room();
    fs::write(room.path().join("c.toml"), "combiner = \"strict\"\n[travel]\nfloor_km = 1\nsubstantial_km = 2\n")
        .unwrap();
    let ran =
        run(
            credence(room.path())
                .env("CREDENCE_TRAVEL_FLOOR_KM", "3")
                .env("CREDENCE_TRAVEL_MAX_SPEED_KMH", "900")
                .args(["score", "--config", "c.toml", "--set", "travel.max_speed_kmh=901", "--print-config"]),
            b"",
        );
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    for line in
        ["combiner = \"strict\"", "travel.floor_km = 3", "travel.substantial_km = 2", "travel.max_speed_kmh = 901"]
    {
        assert!(ran.stdout.lines().any(|shown| shown == line), "{line} in:\n{}", ran.stdout);
    }
}

#[test]
fn keys_that_are_set_win_over_the_preset_wherever_it_is_set() {
    let room = room();
    fs::write(room.path().join("c.toml"), "force_low = []\nconfidence.NewDevice.match = \"low\"\n").unwrap();
    let ran = score(room.path(), &["--config", "c.toml", "--set", "preset=cautious", "--print-config"], "");
    for line in [
        "preset = \"cautious\"",
        "force_low = []",
        "confidence.NewDevice.\"match\" = \"low\"",
        "confidence.ImpossibleTravel.\"location_history_not_found\" = \"neutral\"",
    ] {
        assert!(ran.stdout.lines().any(|shown| shown == line), "{line} in:\n{}", ran.stdout);
    }
}

#[test]
fn a_printed_configuration_is_a_configuration() {
    let room = room();
    fs::write(room.path().join("list.txt"), "192.0.2.0/24\n").unwrap();
    let list = room.path().join("list.txt");
    let list = format!("name=a,category=vpn,path={},confidence=high", list.display());
    for args in [
        vec![],
        vec!["--set", "preset=cautious", "--set", "dedup.minutes=0.5", "--set", "combiner=strict"],
        vec!["--allow", "198.51.100.0/24", "--allow", "2001:db8::/32", "--deny-list", &list],
        vec!["--set", "force_low=UntrustedIP.found_on_deny_list,NewDevice.no_match", "--city", "/tmp/a b.mmdb"],
        vec!["--set", "kafka.properties.fetch.wait.max.ms=10", "--set", "output.log_challenges=false"],
    ] {
        let first = score(room.path(), &[&args[..], &["--print-config"]].concat(), "");
        assert_eq!(first.status, Some(0), "{}", first.stderr);
        fs::write(room.path().join("printed.toml"), &first.stdout).unwrap();
        let again = score(room.path(), &["--config", "printed.toml", "--print-config"], "");
        assert_eq!(again.status, Some(0), "{}", again.stderr);
        assert_eq!(again.stdout, first.stdout, "{args:?}");
    }
}

#[test]
fn secrets_are_masked() {
    let room = room();
    let secrets = ["0123456789abcdef0123456789abcdef", "hunter2", "letmein"];
    let args = [
        "--set",
        &format!("state.hash_key={}", secrets[0]),
        "--set",
        &format!("kafka.properties.sasl.password={}", secrets[1]),
        "--set",
        &format!("kafka.properties.ssl.key.password={}", secrets[2]),
        "--set",
        "kafka.properties.sasl.mechanism=PLAIN",
        "--print-config",
    ];
    let ran = score(room.path(), &args, "");
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    for secret in secrets {
        assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "{}", ran.stdout);
    }
    assert_eq!(ran.stdout.matches("[masked]").count(), 3, "{}", ran.stdout);
    assert!(ran.stdout.contains("PLAIN"));
    // Nor does an error show one.
    let ran = score(room.path(), &["--set", "state.hash_key=tooshortsecret"], "");
    assert_eq!(ran.status, Some(1));
    assert!(!ran.stderr.contains("tooshortsecret"), "{}", ran.stderr);
}

#[test]
fn an_unknown_key_names_the_nearest() {
    let room = room();
    for (key, nearest) in [
        ("travel.floor", "travel.floor_km"),
        ("device.remember_days", "device.remember_for_days"),
        ("force-low", "force_low"),
        ("confidence.NewDevice.matches", "confidence.NewDevice.match"),
        ("confidence.UntrustedIP.found_on_deny_list", "confidence.UntrustedIP.found_on_deny_list"),
        ("Combiner", "combiner"),
    ] {
        let ran = score(room.path(), &["--set", &format!("{key}=1")], "");
        assert_eq!(ran.status, Some(1));
        assert!(ran.stderr.contains(&format!("did you mean `{nearest}")), "{key}: {}", ran.stderr);
    }
    let ran = score(room.path(), &["--set", "zzz=1"], "");
    assert!(!ran.stderr.contains("did you mean"), "{}", ran.stderr);
}

#[test]
fn paths_in_a_file_are_relative_to_it_and_those_of_options_to_the_caller() {
    let room = room();
    let folder = room.path().join("etc");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("list.txt"), "192.0.2.0/24\n").unwrap();
    fs::write(folder.join("c.toml"), "[[data.deny_lists]]\nname = \"a\"\ncategory = \"abuse\"\npath = \"list.txt\"\n")
        .unwrap();
    let ran = score(room.path(), &["--config", "etc/c.toml"], &event("a", 0));
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    let ip = &values(&ran.stdout)[0]["risk_assessment"]["assessments"]["UntrustedIP"];
    assert_eq!(
        ip["details"],
        json!({"ip": "192.0.2.7", "matches": "192.0.2.0/24", "source": "a", "category": "abuse"})
    );
    let ran = score(room.path(), &["--deny-list", "name=a,category=abuse,path=list.txt"], &event("a", 0));
    assert_eq!(ran.status, Some(1), "it is not there");
}

#[test]
fn absent_assessors_are_told_of_at_start() {
    let room = room();
    let ran = score(room.path(), &[], &event("a", 0));
    for assessor in ["UntrustedIP is absent", "ImpossibleTravel is absent"] {
        assert!(ran.stderr.contains(assessor), "{}", ran.stderr);
    }
    let assessments = &values(&ran.stdout)[0]["risk_assessment"]["assessments"];
    assert_eq!(assessments.as_object().unwrap().keys().collect::<Vec<_>>(), ["NewDevice"]);
}
