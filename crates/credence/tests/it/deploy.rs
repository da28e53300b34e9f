//! What stands in `deploy/` has to fit the code: metrics, labels, keys of the configuration, deadlines.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use credence::config::{Config, Inputs};
use credence::metrics::{DataMetrics, ScoringMetrics, SettingsMetrics};
use credence::service::stream_config;
use credence::tenant_book::Taken;
use delivery::{Change, Handler, LocalState, Outputs, Source, StateError};
use engine::StoreStats;
use intel::SourceInfo;
use prometheus::proto::MetricType;
use prometheus::{IntCounter, Registry};
use serde_json::Value;
use stream::embedded::Embedded;
use stream::{Connection, StreamConfig};

const ALERTS: &str = "prometheus/alerts.yml";
const ALERT_TESTS: &str = "prometheus/alerts.test.yml";
const RUNBOOK: &str = "prometheus/README.md";
const DASHBOARD: &str = "grafana/credence.json";
/// Labels that Prometheus adds to every series, and the one of histograms' buckets.
const ADDED_LABELS: [&str; 3] = ["job", "instance", "le"];
/// Labels whose values are all known from the start.
const CLOSED_LABELS: [&str; 8] = ["assessor", "code", "stage", "outcome", "confidence", "type", "output", "event"];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(name)
}

fn read(name: &str) -> String {
    let path = path(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn config_of(name: &str, text: String) -> Config {
    let inputs = Inputs { file: Some((path(name), text)), ..Inputs::default() };
    let config = Config::read(&inputs).unwrap_or_else(|errors| panic!("{name}: {errors:#?}"));
    stream_config(&config, "one").check().unwrap_or_else(|error| panic!("{name}: {error}"));
    config
}

/// The configuration inside of kubernetes.yaml.
fn kubernetes_config() -> Config {
    let text = read("kubernetes.yaml");
    let block = text.lines().skip_while(|line| line.trim() != "credence.toml: |").skip(1);
    let lines: Vec<&str> = block.take_while(|line| line.is_empty() || line.starts_with("    ")).collect();
    assert!(lines.len() > 10, "kubernetes.yaml: no configuration was found");
    config_of("kubernetes.yaml", lines.join("\n"))
}

/// The seconds after `marker` in a file.
fn seconds_after(name: &str, marker: &str) -> Duration {
    let text = read(name);
    let (_, rest) = text.split_once(marker).unwrap_or_else(|| panic!("{name}: no {marker}"));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Duration::from_secs(digits.parse().unwrap())
}

#[test]
fn the_configurations_are_read() {
    let example = config_of("credence.example.toml", read("credence.example.toml"));
    assert_eq!(example.sources.deny_lists.len(), 3);
    assert_eq!(example.properties.get("security.protocol").map(String::as_str), Some("sasl_ssl"));
    assert_eq!(kubernetes_config().sources.deny_lists.len(), 1);
}

#[test]
fn a_stop_has_more_time_than_it_may_take() {
    let cases = [
        ("credence.service", "\nTimeoutStopSec=", config_of("credence.example.toml", read("credence.example.toml"))),
        ("kubernetes.yaml", "terminationGracePeriodSeconds: ", kubernetes_config()),
        ("Dockerfile", "docker stop --time ", Config::default()),
    ];
    for (file, marker, config) in cases {
        assert!(seconds_after(file, marker) > config.shutdown_deadline, "{file}");
    }
}

#[test]
fn environment_variables_name_keys() {
    let files = ["credence.example.toml", "Dockerfile", "credence.service", "kubernetes.yaml", "README.md"];
    // Stands in kubernetes.yaml as an example of a variable that is refused.
    let refused = "CREDENCE_PORT";
    for file in files {
        let text = read(file);
        let names = words(&text, "CREDENCE_").into_iter().map(|(name, _)| name);
        for name in names.filter(|name| *name != "CREDENCE_" && *name != refused) {
            let inputs = Inputs { environment: vec![(name.to_owned(), String::new())], ..Inputs::default() };
            let errors = Config::read(&inputs).err().unwrap_or_default();
            let unknown = errors.iter().find(|error| error.to_string().contains("unknown"));
            assert!(unknown.is_none(), "{file}: {unknown:?}");
        }
    }
}

/// Each word that begins so, with what follows it.
fn words<'t>(text: &'t str, prefix: &str) -> Vec<(&'t str, &'t str)> {
    let in_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = text.match_indices(prefix).filter(|(at, _)| !text[..*at].ends_with(in_word));
    starts
        .map(|(at, _)| {
            let rest = &text[at..];
            rest.split_at(rest.find(|c| !in_word(c)).unwrap_or(rest.len()))
        })
        .collect()
}

/// What the code registers.
struct Registered {
    registry: Registry,
    histograms: BTreeSet<String>,
    /// For metrics that have a series from the start: the values of each label.
    labels: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
}

/// Handles nothing: the stream is only started for its metrics.
struct Idle;

impl Handler for Idle {
    fn assigned(&mut self, _partition: i32) -> Result<(), StateError> {
        Ok(())
    }
    fn revoked(&mut self, _partition: i32) {}
    fn handle(&mut self, _source: &Source<'_>, _outputs: &mut Outputs) -> Result<(), StateError> {
        Ok(())
    }
}

impl LocalState for Idle {
    fn position(&self, _partition: i32) -> Result<Option<i64>, StateError> {
        Ok(None)
    }
    fn apply(
        &self,
        _: i32,
        _: Option<i64>,
        _: &mut dyn Iterator<Item = Change<'_>>,
        _: i64,
    ) -> Result<bool, StateError> {
        Ok(true)
    }
    fn source_offset(&self, _partition: i32) -> Result<Option<i64>, StateError> {
        Ok(None)
    }
    fn reset(&self, _partition: i32) -> Result<(), StateError> {
        Ok(())
    }
}

impl Registered {
    fn new() -> Registered {
        let registry = Registry::new();
        ScoringMetrics::register(&registry).unwrap().show_state(0, &[StoreStats::default()]);
        let list = SourceInfo { name: "list".to_owned(), version: "0".to_owned(), made_at_s: 0, entries: Some(1) };
        DataMetrics::register(&registry).unwrap().loaded(&[list], 0.0);
        SettingsMetrics::register(&registry).unwrap().taken(&Taken::InForce, 1, 1);
        let topics = [
            "login-events",
            "login-verdicts",
            "tenant-logs",
            "login-events-dead",
            "credence-profiles",
            "tenant-settings",
        ];
        let broker = Embedded::start(&topics.map(|topic| (topic, 1))).unwrap();
        let settings = StreamConfig::new(Connection::new(broker.bootstrap_servers()), "deploy", "one");
        let cluster = stream::inspect(&settings).unwrap();
        let state: Arc<dyn LocalState> = Arc::new(Idle);
        let running = stream::start(settings, &cluster, &registry, &state, |_| Box::new(Idle)).unwrap();
        let families = registry.gather();
        running.stop();

        let mut histograms = BTreeSet::new();
        let mut labels: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        for family in families {
            if family.get_field_type() == MetricType::HISTOGRAM {
                histograms.insert(family.name().to_owned());
            }
            let of = labels.entry(family.name().to_owned()).or_default();
            for pair in family.get_metric().iter().flat_map(|metric| metric.get_label()) {
                of.entry(pair.name().to_owned()).or_default().insert(pair.value().to_owned());
            }
        }
        Registered { registry, histograms, labels }
    }

    /// Whether a series of this name can exist. A vector without labelled series is not gathered, but its
    /// name is taken: registering another metric of that name fails.
    fn has(&self, name: &str) -> bool {
        let base = histogram_of(name);
        if self.histograms.contains(base) {
            return base != name;
        }
        let probe = IntCounter::new(name, "probe").unwrap();
        let taken = self.registry.register(Box::new(probe.clone())).is_err();
        if !taken {
            self.registry.unregister(Box::new(probe)).unwrap();
        }
        taken
    }

    /// What is wrong with the metrics in a text.
    fn faults(&self, text: &str) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, rest) in words(text, "credence_") {
            if !self.has(name) {
                faults.push(format!("{name}: no such metric"));
            }
            let Some(labels) = self.labels.get(histogram_of(name)) else { continue };
            for (label, value) in selectors(rest) {
                let Some(known) = labels.get(label) else {
                    if !ADDED_LABELS.contains(&label) {
                        faults.push(format!("{name}: no label {label}"));
                    }
                    continue;
                };
                let unknown = value.split('|').find(|value| !known.contains(*value));
                if let Some(value) = unknown.filter(|_| CLOSED_LABELS.contains(&label)) {
                    faults.push(format!("{name}: label {label} is never {value:?}"));
                }
            }
        }
        faults
    }
}

/// The histogram's name of a series, or the name itself.
fn histogram_of(name: &str) -> &str {
    ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}

/// Labels and values of the selector that follows a metric's name.
fn selectors(rest: &str) -> Vec<(&str, &str)> {
    let inside = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(inside, _)| inside);
    let pairs = inside.split(", ").filter_map(|pair| pair.split_once('='));
    pairs.map(|(label, value)| (label.trim_end_matches('!'), value.trim_start_matches('~').trim_matches('"'))).collect()
}

/// Every text in a JSON value.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn rules_and_panels_name_metrics_that_exist() {
    let registered = Registered::new();
    // The check itself: what it has to find, and what it has to let pass.
    let cases = [
        ("rate(credence_no_such_total[5m])", "credence_no_such_total: no such metric"),
        ("credence_append_to_verdict_seconds", "credence_append_to_verdict_seconds: no such metric"),
        ("credence_append_to_verdict_seconds_max", "credence_append_to_verdict_seconds_max: no such metric"),
        ("credence_data_stale_count", "credence_data_stale_count: no such metric"),
        ("credence_assessments_total{reason=\"x\"}", "credence_assessments_total: no label reason"),
        ("credence_assessments_total{code=\"x\"}", "credence_assessments_total: label code is never \"x\""),
        ("credence_rebalances_total{event=~\"lost|x\"}", "credence_rebalances_total: label event is never \"x\""),
        ("sum(rate(credence_append_to_verdict_seconds_bucket{le=\"1\"}[5m]))", ""),
        ("credence_assessments_total{job=\"x\", code=\"assessment_not_available\"}", ""),
        ("credence_producer_errors_total{class=\"size\"}", ""),
    ];
    for (text, fault) in cases {
        assert_eq!(registered.faults(text).join("; "), fault, "{text}");
    }

    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    for (file, text) in [
        (ALERTS, read(ALERTS)),
        (ALERT_TESTS, read(ALERT_TESTS)),
        (RUNBOOK, read(RUNBOOK)),
        ("README.md", read("README.md")),
        (DASHBOARD, texts(&dashboard).join("\n")),
    ] {
        assert_eq!(registered.faults(&text), [""; 0], "{file}");
    }
}

#[test]
fn every_alert_is_tested_and_explained() {
    let (alerts, tests, runbook) = (read(ALERTS), read(ALERT_TESTS), read(RUNBOOK));
    let mut names = BTreeSet::new();
    for rule in alerts.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap();
        assert!(names.insert(name), "{name} stands twice");
        let runbook_link = format!("runbook: \"README.md#{}\"", name.to_lowercase());
        for part in ["severity: ", "summary: ", "description: ", &runbook_link] {
            assert!(rule.contains(part), "{name} has no {part}");
        }
        let outcomes: Vec<&str> = tests.split(&format!("alertname: {name}\n")).skip(1).collect();
        let quiet = outcomes.iter().filter(|rest| rest.trim_start().starts_with("exp_alerts: []")).count();
        assert!(quiet > 0, "{name}: no test sees it not firing");
        assert!(outcomes.len() > quiet, "{name}: no test sees it firing");
        assert!(runbook.contains(&format!("\n### {name}\n")), "{name} is not in the runbook");
    }
    assert!(names.len() > 10, "{names:?}");
    for heading in runbook.lines().filter_map(|line| line.strip_prefix("### ")) {
        assert!(names.contains(heading), "the runbook explains {heading}, which is no alert");
    }
}

#[test]
fn the_alert_tests_pass() {
    match Command::new("promtool").arg("test").arg("rules").arg(path(ALERT_TESTS)).output() {
        // Written past the capture of the test's output: a test that did not run must be seen.
        Err(error) => writeln!(std::io::stderr(), "SKIPPED: tests of the alert rules: promtool: {error}").unwrap(),
        Ok(output) => assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
    }
}

#[test]
fn the_dashboard_fits_any_machine() {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    assert_eq!(dashboard["templating"]["list"][0]["type"], "datasource");
    assert!(dashboard.get("id").is_none(), "the dashboard's id is a number of one database");
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let targets = panel["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
        assert_eq!(targets.is_empty(), panel["type"] == "row", "{panel}");
        for part in targets.iter().chain((!targets.is_empty()).then_some(panel)) {
            assert_eq!(part["datasource"]["uid"], "${datasource}", "{part}");
        }
    }
}
