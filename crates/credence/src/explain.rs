//! A verdict or a log record in words: what was seen and what it means, for people. What comes from events is
//! escaped where a terminal would obey it.

mod login;

use model::Confidence;
use serde_json::Value;

use crate::printable::printable;

pub use login::{Later, Section, login};

/// The answers of a `riskAssessment` object, each with its assessor's name.
pub fn assessments(risk_assessment: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let map = risk_assessment["assessments"].as_object();
    map.into_iter().flatten().map(|(assessor, assessment)| (assessor.as_str(), assessment))
}

/// What each assessor's answer means, one sentence an assessor, from a verdict or a log record's
/// `riskAssessment` object. Assessors and codes that are not known are named as they are.
#[must_use]
pub fn sentences(risk_assessment: &Value) -> Vec<String> {
    let sentence = |(assessor, assessment): (&str, &Value)| {
        let code = assessment["code"].as_str().unwrap_or("no code");
        let confidence = assessment["confidence"].as_str().unwrap_or("no confidence");
        let details = &assessment["details"];
        let meaning = match assessor {
            "ImpossibleTravel" => travel(code, details),
            "NewDevice" => device(code, details),
            "UntrustedIP" => address(code, details),
            _ => String::new(),
        };
        let meaning = if meaning.is_empty() { code.to_owned() } else { meaning };
        printable(&format!("{assessor} says {confidence} ({code}): {meaning}.")).into_owned()
    };
    assessments(risk_assessment).map(sentence).collect()
}

/// Which combination of the answers made the overall confidence, as far as the record tells: the settings that it
/// was made with are not in it. `None` where nothing was assessed.
#[must_use]
pub fn together(risk_assessment: &Value) -> Option<String> {
    let overall = risk_assessment["confidence"].as_str()?;
    let mut votes: Vec<Confidence> = assessments(risk_assessment)
        .filter_map(|(_, assessment)| Confidence::parse(assessment["confidence"].as_str()?))
        .filter(|confidence| *confidence != Confidence::Neutral)
        .collect();
    votes.sort_unstable();
    let median = votes.get(votes.len().saturating_sub(1) / 2).map_or("neutral", |vote| vote.as_str());
    let lowest = votes.first().map_or("neutral", |vote| vote.as_str());
    let list = votes.iter().map(|vote| vote.as_str()).collect::<Vec<_>>().join(", ");
    let why = if overall == median {
        match votes.len() {
            0 => "no assessor could say anything".to_owned(),
            1 => "one answer counts".to_owned(),
            _ if lowest == median => {
                format!("it is the lower median of the answers that count ({list}), and the lowest")
            }
            _ => format!("it is the lower median of the answers that count ({list})"),
        }
    } else if overall == lowest {
        format!(
            "it is the lowest of the answers that count ({list}), not their lower median ({median}): either the \
             combiner was strict, or one of the answers makes the whole low by itself (`force_low`)"
        )
    } else if overall == "low" {
        format!("an answer makes the whole low by itself (`force_low`), whatever the answers that count ({list}) are")
    } else {
        format!("no combination that is known here makes that of the answers that count ({list})")
    };
    Some(printable(&format!("Together {overall}: {why}.")).into_owned())
}

/// A place by its city and country.
fn place(point: &Value) -> String {
    let city = point["city"].as_str().unwrap_or("a place without a name");
    point["country"].as_str().map_or_else(|| city.to_owned(), |country| format!("{city} ({country})"))
}

fn travel(code: &str, details: &Value) -> String {
    let route = || {
        let km = details["effective_distance_km"].as_f64().unwrap_or_default();
        let speed = match (details["elapsed_s"].as_f64(), details["speed_kmh"].as_f64()) {
            (Some(seconds), Some(kmh)) => format!(" in {}: {kmh:.0} km/h", span(seconds)),
            _ => String::new(),
        };
        format!("{km:.0} km from {} to {}{speed}", place(&details["from"]), place(&details["to"]))
    };
    match code {
        "initial_login" => "there is no earlier login to travel from".to_owned(),
        "location_history_not_found" => "no place of the user is recent enough to travel from".to_owned(),
        "minimal_travel_from_last_login" => format!("the user is where he was last, in {}", place(&details["to"])),
        "impossible_travel_from_last_login" => format!("{}, faster than anybody travels", route()),
        "travel_from_last_login" if details["known_place"] == true => {
            format!("{} is a place where the user is known", place(&details["to"]))
        }
        "travel_from_last_login" | "substantial_travel_from_last_login" => format!("{}, which is possible", route()),
        "anonymous_proxy" => "the address hides where its user is".to_owned(),
        "missing_geoip" => "nothing is known of where the address is".to_owned(),
        "unknown_location" => "where the address is cannot be told well enough".to_owned(),
        "assessment_not_available" => "the assessor failed".to_owned(),
        _ => String::new(),
    }
}

fn device(code: &str, details: &Value) -> String {
    match code {
        "initial_login" => "the user has not logged in before".to_owned(),
        "match" => "the device cookie and the browser are known".to_owned(),
        "partial_match" if details["device"] == "known" => "the device cookie is known, the browser is not".to_owned(),
        "partial_match" => "the browser is known, the device cookie is not".to_owned(),
        "no_match" => "neither the device cookie nor the browser is known".to_owned(),
        "no_device_history" => "no device of the user is remembered".to_owned(),
        "unknown_device" => "the login shows neither a device cookie nor a browser".to_owned(),
        "assessment_not_available" => "the assessor failed".to_owned(),
        _ => String::new(),
    }
}

fn address(code: &str, details: &Value) -> String {
    let text = |key: &str| details[key].as_str().unwrap_or("?").to_owned();
    match code {
        "not_found_on_deny_list" => "the address is on no deny list".to_owned(),
        "found_on_deny_list" => {
            let (ip, entry, list, category) = (text("ip"), text("matches"), text("source"), text("category"));
            format!("{ip} is covered by {entry} of the list `{list}` ({category})")
        }
        "invalid_ip_address" => "the login brought no address".to_owned(),
        "assessment_not_available" => "the assessor failed".to_owned(),
        _ => String::new(),
    }
}

/// A number without decimals, its thousands apart: `16,894`.
#[must_use]
pub fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = if number.is_sign_negative() && digits != "0" { "-".to_owned() } else { String::new() };
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && digit.is_ascii_digit() {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time span as `span` has it, in short: `1 h`, `1.5 d`.
#[must_use]
pub fn short_span(seconds: f64) -> String {
    let text = span(seconds);
    let (number, unit) = text.split_once(' ').unwrap_or((&text, ""));
    let unit = if unit == "minutes" { "min" } else { unit.get(..1).unwrap_or_default() };
    format!("{} {unit}", number.strip_suffix(".0").unwrap_or(number))
}

/// A time span in the largest unit that makes it at least one.
fn span(seconds: f64) -> String {
    let units = [(86_400.0, "days"), (3600.0, "hours"), (60.0, "minutes")];
    match units.into_iter().find(|(length, _)| seconds >= *length) {
        Some((length, name)) => format!("{:.1} {name}", seconds / length),
        None => format!("{seconds:.1} seconds"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_and_spans_in_short() {
        for (number, wanted) in
            [(0.0, "0"), (-0.2, "0"), (999.4, "999"), (1000.0, "1,000"), (16_894.0, "16,894"), (-1e6, "-1,000,000")]
        {
            assert_eq!(grouped(number), wanted);
        }
        for (seconds, wanted) in
            [(0.0, "0 s"), (59.0, "59 s"), (90.0, "1.5 min"), (3600.0, "1 h"), (5400.0, "1.5 h"), (864_000.0, "10 d")]
        {
            assert_eq!(short_span(seconds), wanted);
        }
    }

    #[test]
    fn the_combination_is_named() {
        for (votes, overall, wanted) in [
            (
                &["low", "low", "low"][..],
                "low",
                "lower median of the answers that count (low, low, low), and the lowest",
            ),
            (&["high", "medium", "low"], "medium", "lower median of the answers that count (low, medium, high)."),
            (&["high", "neutral", "high"], "high", "(high, high), and the lowest"),
            (&["high", "neutral", "neutral"], "high", "one answer counts"),
            (&["neutral"], "neutral", "no assessor could say anything"),
            (&["high", "high", "low"], "low", "lowest of the answers that count (low, high, high), not their lower"),
            (&["high", "medium", "high"], "medium", "combiner was strict"),
            (&["high", "high", "medium"], "low", "`force_low`), whatever"),
            (&["low", "low"], "high", "no combination that is known here"),
            (&[], "neutral", "no assessor could say anything"),
        ] {
            let named = votes.iter().enumerate().map(|(n, vote)| (n.to_string(), json!({ "confidence": vote })));
            let assessments: serde_json::Map<_, _> = named.collect();
            let said = together(&json!({ "confidence": overall, "assessments": assessments })).unwrap();
            assert!(said.starts_with(&format!("Together {overall}: ")) && said.contains(wanted), "{said}");
        }
        assert_eq!(together(&Value::Null), None);
    }
}
