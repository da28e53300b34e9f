//! What the demo tells at its end.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use sim::{AttackKind, GenuineKind, Label, Role};

use super::scene::{Outcome, Scene, name_of};
use crate::explain::sentences;

/// Challenged and all, of one kind of login.
#[derive(Default, Clone, Copy)]
struct Share {
    challenged: usize,
    all: usize,
}

impl Share {
    fn percent(self) -> f64 {
        if self.all == 0 { 0.0 } else { 100.0 * self.challenged as f64 / self.all as f64 }
    }
}

pub(super) fn print(scene: &Scene, outcome: &Outcome) {
    let labels: HashMap<_, _> = scene
        .events
        .iter()
        .filter(|event| event.role == Role::Attempt)
        .map(|event| {
            let name = (event.tenant.to_string(), event.user_id.clone().unwrap_or_default(), event.event_id.clone());
            (name, event.label)
        })
        .collect();
    let mut confidences: BTreeMap<&str, usize> = BTreeMap::new();
    let mut attacks: HashMap<AttackKind, Share> = HashMap::new();
    let mut genuine: HashMap<GenuineKind, Share> = HashMap::new();
    let mut first: HashMap<&'static str, &Value> = HashMap::new();
    // A repeated login is one login.
    let mut seen = std::collections::HashSet::new();
    for verdict in &outcome.verdicts {
        let name = name_of(verdict);
        let Some(label) = labels.get(&name) else { continue };
        if !seen.insert(name) {
            continue;
        }
        *confidences.entry(verdict["risk_assessment"]["confidence"].as_str().unwrap_or("?")).or_default() += 1;
        let challenged = verdict["decision"]["action"] != "none";
        let share = match *label {
            Label::Attack(kind) => attacks.entry(kind).or_default(),
            Label::Genuine(kind) => genuine.entry(kind).or_default(),
        };
        share.all += 1;
        share.challenged += usize::from(challenged);
        note_example(&mut first, *label, verdict, challenged);
    }

    println!("{} logins, {} repeated ones among them:", outcome.verdicts.len(), outcome.verdicts.len() - seen.len());
    let order = ["high", "medium", "low", "neutral"];
    let counts = order.map(|c| format!("{c} {}", confidences.get(c).copied().unwrap_or_default()));
    println!("  confidence   {}", counts.join(", "));
    let everyone: Share = genuine.values().fold(Share::default(), add);
    println!(
        "  genuine      {} logins, {} asked for a second factor ({:.1} %)",
        everyone.all,
        everyone.challenged,
        everyone.percent()
    );
    let caught: Share = attacks.values().fold(Share::default(), add);
    println!(
        "  attacks      {} logins, {} asked for a second factor ({:.1} %)\n",
        caught.all,
        caught.challenged,
        caught.percent()
    );
    for kind in AttackKind::ALL {
        let share = attacks.get(&kind).copied().unwrap_or_default();
        println!("  {:>4} of {:<4} {}", share.challenged, share.all, kind.describe());
    }
    println!("\nWhere genuine users were asked most:");
    let mut asked: Vec<_> =
        GenuineKind::ALL.into_iter().filter_map(|kind| Some((kind, *genuine.get(&kind)?))).collect();
    asked.sort_by(|a, b| b.1.percent().total_cmp(&a.1.percent()));
    for (kind, share) in asked.iter().take(3) {
        println!("  {:>4} of {:<5} {}", share.challenged, share.all, kind.name());
    }

    println!("\nThree logins, with the evidence:");
    for title in [GENUINE, CAUGHT, MISSED] {
        match first.get(title) {
            Some(verdict) => print_login(title, verdict),
            None => println!("\n  {title}: there was none"),
        }
    }

    let rate = outcome.bulk_events as f64 / outcome.bulk_time.as_secs_f64();
    println!(
        "\n{} events in bulk: {rate:.0} a second through one worker and the embedded broker.",
        outcome.bulk_events
    );
    let ms = |quantile: f64| outcome.latency_us.value_at_quantile(quantile) as f64 / 1000.0;
    println!(
        "{} logins at an even rate, from sending to a readable verdict: p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms.",
        outcome.latency_us.len(),
        ms(0.50),
        ms(0.99),
        ms(0.999)
    );
    println!(
        "{} tenant log records, {} unreadable records in the dead-letter topic.",
        outcome.logs.len(),
        outcome.dead.len()
    );
}

fn add(sum: Share, share: &Share) -> Share {
    Share { challenged: sum.challenged + share.challenged, all: sum.all + share.all }
}

const GENUINE: &str = "A genuine user on his own device";
const CAUGHT: &str = "An attack that was caught";
const MISSED: &str = "An attack that was not caught";

/// Keeps the first login of each kind that is shown.
fn note_example<'v>(first: &mut HashMap<&'static str, &'v Value>, label: Label, verdict: &'v Value, challenged: bool) {
    let assessments = &verdict["risk_assessment"]["assessments"];
    let title = match label {
        Label::Genuine(_) if assessments["NewDevice"]["code"] == "match" && !challenged => GENUINE,
        Label::Attack(_)
            if challenged && assessments["ImpossibleTravel"]["code"] == "impossible_travel_from_last_login" =>
        {
            CAUGHT
        }
        Label::Attack(_) if !challenged => MISSED,
        _ => return,
    };
    first.entry(title).or_insert(verdict);
}

fn print_login(title: &str, verdict: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    println!("\n  {title}: {} of {}, {}", text(&verdict["user_id"]), text(&verdict["tenant"]), text(&verdict["time"]));
    for sentence in sentences(&verdict["risk_assessment"]) {
        println!("    {sentence}");
    }
    println!(
        "    Together: {}, so the decision is {} ({}).",
        text(&verdict["risk_assessment"]["confidence"]),
        text(&verdict["decision"]["action"]),
        text(&verdict["decision"]["reason"])
    );
}
