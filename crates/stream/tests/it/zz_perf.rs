use crate::support::{Case, PATIENCE, stop_cleanly, wait_until};
use std::thread;
use std::time::{Duration, Instant};
use stream::feed::FeedRecord;
fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect();
    (f[11].parse::<f64>().unwrap() + f[12].parse::<f64>().unwrap()) / 100.0
}
#[test]
fn throughput() {
    let Some(kafka) = kafka_harness::shared() else { return };
    for linger in ["0", "1", "5"] {
        let mut case = Case::new(kafka.bootstrap_servers(), "perf");
        case.config.connection.properties.insert("linger.ms".into(), linger.into());
        case.create_topics(4, |_| ());
        let feeder = case.feeder();
        let pad = "{\"a\": 1, \"ip\": \"203.0.113.7\"},".repeat(20);
        for n in 0..400_000usize {
            let key = format!("key-{}", n % 5000);
            let payload = format!("{key}:{n}{pad}");
            feeder
                .send(FeedRecord {
                    topic: &case.config.topics.events,
                    key: Some(key.as_bytes()),
                    payload: Some(payload.as_bytes()),
                    ..FeedRecord::default()
                })
                .unwrap();
        }
        feeder.flush(PATIENCE).unwrap();
        drop(feeder);
        let c0 = cpu();
        let running = case.start();
        wait_until("first", || case.metric("credence_records_consumed_total") > 0.0);
        let t = Instant::now();
        wait_until("all", || case.metric_with("credence_records_produced_total", "verdict") >= 400_000.0);
        let e = t.elapsed();
        println!(
            "linger {linger}: 400k x2 outputs in {e:?}: {:.0}/s, cpu {:.2} us/event, pauses {} commitfail {}",
            4e5 / e.as_secs_f64(),
            (cpu() - c0) * 1e6 / 4e5,
            case.metric("credence_paused"),
            case.metric("credence_commit_failures_total")
        );
        stop_cleanly(running);
    }
}
#[test]
fn latency() {
    let Some(kafka) = kafka_harness::shared() else { return };
    for linger in ["0", "1"] {
        for rate in [500u64, 2000] {
            let mut case = Case::new(kafka.bootstrap_servers(), "lat");
            case.config.connection.properties.insert("linger.ms".into(), linger.into());
            case.create_topics(4, |_| ());
            let mut fc = case.config.connection.clone();
            fc.properties.insert("linger.ms".into(), "0".into());
            let feeder = stream::feed::Feeder::new(&fc).unwrap();
            let running = case.start_ready();
            thread::sleep(Duration::from_secs(1));
            let start = Instant::now();
            let mut n = 0u64;
            while start.elapsed() < Duration::from_secs(8) {
                let due = start + Duration::from_micros(n * 1_000_000 / rate);
                if let Some(w) = due.checked_duration_since(Instant::now()) {
                    thread::sleep(w);
                }
                case.feed(&feeder, n as usize, 1, 1000);
                n += 1;
            }
            feeder.flush(PATIENCE).unwrap();
            wait_until("all", || case.metric_with("credence_records_produced_total", "verdict") >= n as f64);
            for f in case.registry.gather() {
                if f.name() == "credence_append_to_verdict_seconds" {
                    let h = f.get_metric()[0].get_histogram().clone();
                    let total = h.get_sample_count() as f64;
                    let line: Vec<String> = h
                        .get_bucket()
                        .iter()
                        .map(|b| format!("{}ms:{:.3}", b.upper_bound() * 1e3, b.cumulative_count() as f64 / total))
                        .collect();
                    println!("linger {linger} rate {rate}: {}", line.join(" "));
                }
            }
            stop_cleanly(running);
        }
    }
}
