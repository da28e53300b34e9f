//! A tenant log record in words.

use model::Timestamp;
use serde_json::Value;

use super::{grouped, place, sentences, span, together};
use crate::printable::printable;

/// Sentences under a title.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What they tell of.
    pub title: &'static str,
    /// The sentences, each fit to be shown on a terminal.
    pub sentences: Vec<String>,
}

/// What later records tell of the same login.
#[derive(Debug, Clone, Default)]
pub struct Later {
    /// The record of its success.
    pub passed: Option<Value>,
    /// The last record of a failure.
    pub failed: Option<Value>,
    /// How many failures there were.
    pub failures: u64,
}

/// A log record (envelope and all) in words. Sections of which the record tells nothing are left out.
#[must_use]
pub fn login(record: &Value, later: &Later) -> Vec<Section> {
    let data = &record["data"];
    let risk = &data["details"]["riskAssessment"];
    if data["type"] == "sapi" {
        let shown = change(record).iter().map(|text| printable(text).into_owned()).collect();
        return vec![Section { title: "A change of settings", sentences: shown }];
    }
    let sections = [
        ("Who, when, from where", who(record)),
        ("What was seen", seen(data)),
        ("What was known", known(risk)),
        ("What the assessors say", sentences(risk).into_iter().chain(together(risk)).collect()),
        ("What was decided", decided(&data["details"]["decision"])),
        ("Data versions", versions(data)),
        ("What became of it", became(data, later)),
    ];
    let shown = |texts: Vec<String>| texts.iter().map(|text| printable(text).into_owned()).collect::<Vec<_>>();
    sections
        .into_iter()
        .map(|(title, texts)| Section { title, sentences: shown(texts) })
        .filter(|section| !section.sentences.is_empty())
        .collect()
}

/// Who changed what over the settings API.
fn change(record: &Value) -> Vec<String> {
    let data = &record["data"];
    let request = &data["details"]["request"];
    let of = |key: &str| text(request, key).map(marked).unwrap_or_else(|| "?".to_owned());
    let who = text(data, "client_name").map(marked).unwrap_or_else(|| "somebody".to_owned());
    let from = text(data, "ip").map(|ip| format!(" from {ip}")).unwrap_or_default();
    let tenant = text(data, "tenant_name").map(marked).unwrap_or_else(|| "?".to_owned());
    let mut sentences = vec![format!(
        "On {}, {who} called {} {} for tenant {tenant}{from}.",
        time(&data["date"]),
        of("method"),
        of("path")
    )];
    sentences.extend(text(data, "user_id").map(|user| format!("It is about user {}.", marked(user))));
    if !request["body"].is_null() {
        sentences.push(format!("What was sent: {}", request["body"]));
    }
    let scopes = request["auth"]["credentials"]["scopes"].as_array().into_iter().flatten();
    let scopes = words(scopes.map(|scope| scope.as_str().map(marked)));
    sentences.extend(scopes.map(|scopes| format!("The token allowed it by {scopes}.")));
    sentences.push(format!("The record is {}.", marked(&record_id(record))));
    sentences
}

/// The text at a key, where there is one that is not empty.
fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value[key].as_str().filter(|text| !text.is_empty())
}

/// A text between marks, so that it is not taken for this program's own words.
fn marked(text: &str) -> String {
    format!("`{text}`")
}

/// Words for a value that is there, else for none.
fn words(parts: impl IntoIterator<Item = Option<String>>) -> Option<String> {
    let there: Vec<String> = parts.into_iter().flatten().collect();
    (!there.is_empty()).then(|| there.join(", "))
}

/// A time as it is told: `2026-03-02 09:00:00.000 UTC`.
fn time(value: &Value) -> String {
    let parsed = value.as_str().and_then(Timestamp::parse_rfc3339).or_else(|| value.as_i64().map(Timestamp));
    match parsed {
        Some(time) => time.to_string().replace('T', " ").replace('Z', " UTC"),
        None => "an unknown time".to_owned(),
    }
}

fn who(record: &Value) -> Vec<String> {
    let data = &record["data"];
    let details = &data["details"];
    let names = [text(data, "user_id"), text(data, "user_name")];
    let user = match names {
        [Some(id), Some(name)] => format!("user {} ({})", marked(id), marked(name)),
        [Some(only), None] | [None, Some(only)] => format!("user {}", marked(only)),
        [None, None] => "a user without a name".to_owned(),
    };
    let action = details["decision"]["action"].as_str().unwrap_or_default();
    let (did, then) = match (text(data, "type").unwrap_or_default(), action) {
        ("s", _) => ("logged in", ""),
        ("f", _) => ("failed to log in", ""),
        ("fp", _) => ("gave a wrong password", ""),
        ("fu", _) => ("tried to log in", ", and is not known"),
        ("mfar", "deny") => ("tried to log in", ", and was refused"),
        ("mfar", _) => ("tried to log in", ", and was asked for more"),
        _ => ("left this record", ""),
    };
    let tenant = text(data, "tenant_name").map(|tenant| format!(" of tenant {}", marked(tenant))).unwrap_or_default();
    let from = text(data, "client_ip").map(|ip| format!(" from {ip}")).unwrap_or_default();
    let in_place = location(data).map(|place| format!(" in {place}")).unwrap_or_default();
    let kind = text(data, "type").unwrap_or("none");
    let description = text(data, "description").map(|words| format!(": {}", marked(words))).unwrap_or_default();
    let mut sentences = vec![
        format!("On {}, {user}{tenant} {did}{from}{in_place}{then}.", time(&data["date"])),
        format!("The record is {} of type {}{description}.", marked(&record_id(record)), marked(kind)),
    ];
    let named = |what: &str, text: Option<&str>| text.map(|text| format!("{what} {}", marked(text)));
    let through = words([
        named("application", text(data, "client_name").or_else(|| text(data, "client_id"))),
        named("connection", text(data, "connection").or_else(|| text(data, "connection_id"))),
        named("strategy", text(data, "strategy")),
        named("organization", text(data, "organization_name").or_else(|| text(data, "organization_id"))),
        named("host", text(data, "hostname")),
    ]);
    sentences.extend(through.map(|through| format!("It was through {through}.")));
    let ids = words([
        named("event", text(details, "event_id")),
        named("session", text(details, "session_id")),
        named("transaction", text(details, "transaction_id")),
    ]);
    sentences.extend(ids.map(|ids| format!("To be found elsewhere as {ids}.")));
    sentences
}

fn record_id(record: &Value) -> String {
    record["log_id"].as_str().unwrap_or("?").to_owned()
}

/// City and country of the login's address, where they are known.
fn location(data: &Value) -> Option<String> {
    let info = &data["location_info"];
    let country = text(info, "country_name").or_else(|| text(info, "country_code"));
    match (text(info, "city_name"), country) {
        (Some(city), Some(country)) => Some(format!("{city} ({country})")),
        (only, other) => only.or(other).map(str::to_owned),
    }
}

fn seen(data: &Value) -> Vec<String> {
    let details = &data["details"];
    let mut sentences = Vec::new();
    sentences.push(match (text(data, "client_ip"), text(details, "invalid_ip")) {
        (Some(ip), _) => {
            let in_place = location(data).map(|place| format!(", in {place}")).unwrap_or_default();
            let info = &data["location_info"];
            let at = match (info["latitude"].as_f64(), info["longitude"].as_f64()) {
                (Some(latitude), Some(longitude)) => format!(", at {latitude} {longitude}"),
                _ => String::new(),
            };
            let system = &details["autonomous_system"];
            let network = system["number"].as_u64().map(|number| {
                let name = text(system, "organization").map(|name| format!(" ({name})")).unwrap_or_default();
                format!(", in AS{number}{name}")
            });
            format!("The address is {ip}{in_place}{at}{}.", network.unwrap_or_default())
        }
        (None, Some(invalid)) => format!("There is no address; where it belongs stands {}.", marked(invalid)),
        (None, None) => "There is no address.".to_owned(),
    });
    sentences.push(match text(data, "user_agent") {
        Some(agent) => {
            let phone = match data["is_mobile"].as_bool() {
                Some(true) => ", a phone's",
                Some(false) => ", not a phone's",
                None => "",
            };
            format!("The user agent is {}{phone}.", marked(agent))
        }
        None => "There is no user agent.".to_owned(),
    });
    let security = &data["security_context"];
    let prints = words(["ja3", "ja4"].map(|key| text(security, key).map(|print| format!("{key} {}", marked(print)))));
    sentences.extend(prints.map(|prints| format!("TLS fingerprints: {prints}.")));
    let prompts = details["prompts"].as_array().into_iter().flatten();
    let factors = words(prompts.map(|prompt| text(prompt, "name").map(marked)));
    sentences.extend(factors.map(|factors| format!("Factors used so far: {factors}.")));
    if let Some(count) = details["stats"]["loginsCount"].as_i64() {
        sentences.push(format!("By the auth server's count it is login number {count} of the user."));
    }
    let error = &details["error"];
    if let Some(message) = text(error, "message") {
        let code = text(error, "oauthError").map(|code| format!(" ({})", marked(code))).unwrap_or_default();
        sentences.push(format!("The auth server says {}{code}.", marked(message)));
    }
    sentences
}

/// The evidence in the answers' details, with the numbers and times that the answers themselves leave out.
fn known(risk: &Value) -> Vec<String> {
    let details = |assessor: &str| Some(&risk["assessments"][assessor]["details"]).filter(|found| found.is_object());
    let mut sentences = Vec::new();
    if let Some(travel) = details("ImpossibleTravel") {
        let (from, to) = (&travel["from"], &travel["to"]);
        sentences.push(format!("The user was in {} on {}.", place(from), time(&from["time"])));
        let km = |key: &str| travel[key].as_f64().map(grouped).unwrap_or_else(|| "?".to_owned());
        let speed = match (travel["elapsed_s"].as_f64(), travel["speed_kmh"].as_f64()) {
            (Some(seconds), Some(kmh)) => format!("in {}, which makes {} km/h", span(seconds), grouped(kmh)),
            _ => "too long ago for a speed to be computed".to_owned(),
        };
        sentences.push(format!(
            "From there to {} it is {} km, {} km of them beyond the inaccuracy of both places, {speed}.",
            place(to),
            km("distance_km"),
            km("effective_distance_km")
        ));
        let not = if travel["known_place"] == true { "" } else { "not " };
        sentences.push(format!("{} is {not}a place where the user is known.", place(to)));
    }
    if let Some(device) = details("NewDevice") {
        let is = |key: &str| device[key].as_str().unwrap_or("?").to_owned();
        sentences.push(format!("The device cookie is {}, the user agent is {}.", is("device"), is("useragent")));
    }
    if let Some(entry) = details("UntrustedIP") {
        let of = |key: &str| entry[key].as_str().unwrap_or("?").to_owned();
        sentences.push(format!(
            "The entry {} of the list {}, category {}, covers {}.",
            of("matches"),
            marked(&of("source")),
            of("category"),
            of("ip")
        ));
    }
    sentences
}

fn decided(decision: &Value) -> Vec<String> {
    let Some(action) = text(decision, "action") else { return Vec::new() };
    let what = match action {
        "none" => "The login was let through",
        "challenge" => "A second factor was asked for",
        "enroll" => "The user was asked to enrol a second factor",
        "email_challenge" => "A confirmation by e-mail was asked for",
        "deny" => "The login was refused",
        _ => "Something was decided that is not known here",
    };
    let reason = text(decision, "reason");
    let why = match reason.unwrap_or_default() {
        "" => "and no reason is given",
        "confidence_low" => "because the overall confidence is low",
        "confidence_not_low" => "because the overall confidence is not low",
        "policy_never" => "because the tenant's policy never asks",
        "policy_always" => "because the tenant's policy always asks",
        "rule" => "because a rule of the tenant says so",
        "not_assessed" => "because such a login is not assessed",
        "no_email" => "because the user has neither a second factor nor an e-mail address to ask at",
        _ => "for a reason that is not known here",
    };
    let names = [Some(action), reason].into_iter().flatten().map(marked).collect::<Vec<_>>().join(", ");
    let mut sentences = vec![format!("{what} ({names}), {why}.")];
    sentences.extend(text(decision, "rule").map(|rule| format!("The rule is {}.", marked(rule))));
    sentences.extend(text(decision, "message").map(|message| format!("The user was told {}.", marked(message))));
    sentences.extend(list(&decision["factors"]).map(|factors| format!("The factors to choose from: {factors}.")));
    match decision["allow_remember_browser"].as_bool() {
        Some(true) => sentences.push("The browser may be remembered.".to_owned()),
        Some(false) => sentences.push("The browser must not be remembered.".to_owned()),
        None => {}
    }
    if decision["interaction_required"] == true {
        sentences.push("The flow cannot ask by itself: the user has to log in interactively.".to_owned());
    }
    sentences.extend(
        list(&decision["rule_errors"]).map(|rules| format!("Rules that failed, and so decided nothing: {rules}.")),
    );
    sentences
}

/// The names in a list: texts, or objects with a type or a name.
fn list(value: &Value) -> Option<String> {
    let name = |item: &Value| {
        let named = item.as_str().or_else(|| item["type"].as_str()).or_else(|| item["name"].as_str());
        Some(named.map_or_else(|| item.to_string(), marked))
    };
    words(value.as_array()?.iter().map(name))
}

fn versions(data: &Value) -> Vec<String> {
    let details = &data["details"];
    let versions = details["data_versions"].as_object().or_else(|| data["data_versions"].as_object());
    match versions.filter(|versions| !versions.is_empty()) {
        Some(versions) => {
            let version = |(name, version): (&String, &Value)| {
                Some(format!("{name} {}", version.as_str().map_or_else(|| version.to_string(), marked)))
            };
            words(versions.iter().map(version)).map(|all| format!("It was answered with {all}.")).into_iter().collect()
        }
        None if details["riskAssessment"].is_object() => {
            let event = text(details, "event_id").map(|id| format!(" of event {}", marked(id))).unwrap_or_default();
            vec![format!("This record names none; the verdict{event} does.")]
        }
        None => Vec::new(),
    }
}

fn became(data: &Value, later: &Later) -> Vec<String> {
    let details = &data["details"];
    let assessed = details["riskAssessment"].is_object();
    let action = details["decision"]["action"].as_str().unwrap_or_default();
    let took = details["elapsedTime"].as_i64().map(|ms| format!(", {} after it began", span(ms as f64 / 1000.0)));
    let took = took.unwrap_or_default();
    let sentence = match text(data, "type").unwrap_or_default() {
        "mfar" => return challenged(data, action, later),
        "s" if assessed && action != "none" => format!("What was asked for was passed, and the login completed{took}."),
        "s" if assessed => "The login went on without a challenge.".to_owned(),
        "s" => "The login completed; it found no assessed attempt that waited for it.".to_owned(),
        "f" if assessed => format!("What was asked for was failed{took}."),
        "f" | "fp" | "fu" => "The login ended here: a failed attempt is not assessed, and teaches nothing.".to_owned(),
        _ => return Vec::new(),
    };
    vec![sentence]
}

fn challenged(data: &Value, action: &str, later: &Later) -> Vec<String> {
    let end = |record: &Value| {
        let date = |data: &Value| data["date"].as_str().and_then(Timestamp::parse_rfc3339);
        let after = date(&record["data"]).zip(date(data)).map(|(end, begin)| (end.0 - begin.0).max(0) as f64 / 1000.0);
        let after = after.map(|seconds| format!(", {} later", span(seconds))).unwrap_or_default();
        format!("on {}{after} (record {})", time(&record["data"]["date"]), marked(&record_id(record)))
    };
    let mut sentences = Vec::new();
    if let Some(failed) = &later.failed {
        let times = if later.failures == 1 { "once".to_owned() } else { format!("{} times", later.failures) };
        sentences.push(format!("The challenge was failed {times}, the last time {}.", end(failed)));
    }
    sentences.push(match (&later.passed, action) {
        (Some(passed), _) if passed["data"]["details"]["riskAssessment"].is_object() => {
            format!("The challenge was passed, and the login completed {}.", end(passed))
        }
        (Some(passed), _) => format!(
            "A login of this event completed {}. This attempt no longer waited for it (it came too late, from another \
             device, or after too many others), so it taught nothing.",
            end(passed)
        ),
        (None, "deny") => "Nothing came of it: a refused login does not go on.".to_owned(),
        (None, _) => "The challenge was given up so far: no later record tells of a success.".to_owned(),
    });
    sentences
}
