//! A verdict in words: what was seen and what it means, for people.

use serde_json::Value;

/// What each assessor's answer means, one sentence an assessor, from a verdict or a log record's
/// `riskAssessment` object. Assessors and codes that are not known are named as they are.
#[must_use]
pub fn sentences(risk_assessment: &Value) -> Vec<String> {
    let Some(assessments) = risk_assessment["assessments"].as_object() else { return Vec::new() };
    let sentence = |(assessor, assessment): (&String, &Value)| {
        let code = assessment["code"].as_str().unwrap_or("no code");
        let confidence = assessment["confidence"].as_str().unwrap_or("no confidence");
        let details = &assessment["details"];
        let meaning = match assessor.as_str() {
            "ImpossibleTravel" => travel(code, details),
            "NewDevice" => device(code, details),
            "UntrustedIP" => address(code, details),
            _ => String::new(),
        };
        let meaning = if meaning.is_empty() { code.to_owned() } else { meaning };
        format!("{assessor} says {confidence} ({code}): {meaning}.")
    };
    assessments.iter().map(sentence).collect()
}

fn travel(code: &str, details: &Value) -> String {
    let place = |point: &Value| {
        let city = point["city"].as_str().unwrap_or("a place without a name");
        point["country"].as_str().map_or_else(|| city.to_owned(), |country| format!("{city} ({country})"))
    };
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

/// A time span in the largest unit that makes it at least one.
fn span(seconds: f64) -> String {
    let units = [(86_400.0, "days"), (3600.0, "hours"), (60.0, "minutes")];
    match units.into_iter().find(|(length, _)| seconds >= *length) {
        Some((length, name)) => format!("{:.1} {name}", seconds / length),
        None => format!("{seconds:.1} seconds"),
    }
}
