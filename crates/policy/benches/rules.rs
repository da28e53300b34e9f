//! What a tenant's rules cost a login: `cargo bench -p policy`.

use divan::{Bencher, black_box};
use model::assessment::{Answer, Assessment, Confidence, Details};
use model::{RiskAssessment, Timestamp};
use policy::rules::{ConditionSet, Facts, PlaceFacts, ProfileFacts};
use policy::value::Value;

/// An ordinary login, about 1.2 KB.
const EVENT: &str = r#"{"id":"txn_01HZX3V9K2M4","time":"2026-03-02T08:00:00.250Z","stage":"attempt","outcome":"success","tenant":{"id":"acme.example"},"user":{"user_id":"auth0|65f1c0ffee","email":"kim@example.com","email_verified":true,"name":"Kim","enrolledFactors":[{"type":"otp"}],"user_metadata":{"theme":"dark"},"app_metadata":{"plan":"gold","level":3,"mfa":false},"created_at":"2024-05-01T00:00:00Z"},"client":{"client_id":"AaBbCcDdEe","name":"Shop","metadata":{"tier":"1"}},"connection":{"id":"con_1","name":"Users","strategy":"auth0"},"organization":{"id":"org_1","name":"acme"},"authorization":{"roles":["staff","admin"]},"request":{"ip":"192.0.2.77","user_agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36","hostname":"login.example.com","language":"en","method":"POST","geoip":{"countryCode":"CH","cityName":"Bern","latitude":46.9,"longitude":7.4,"timeZone":"Europe/Zurich","continentCode":"EU"}},"device":{"id":"5f1c9a2e7b"},"transaction":{"protocol":"oidc-basic-profile","acr_values":[],"requested_scopes":["openid","profile","email"],"prompt":[]},"authentication":{"methods":[{"name":"pwd","timestamp":"2026-03-02T08:00:00Z"}]},"session":{"id":"s1"},"stats":{"logins_count":17}}"#;

/// Kinds of rules that the documentation of adaptive policies names, each with a word of its own.
const RULES: [&str; 25] = [
    "event.client.client_id == 'client-N'",
    "event.client.name in ['Admin N', 'Payments', 'Console']",
    "has(event.user.app_metadata.mfa) && event.user.app_metadata.mfa == true && event.client.name != 'N'",
    "event.user.app_metadata.plan == 'plan-N' && event.user.app_metadata.level >= 5",
    "event.user.email.endsWith('@N.example.com') && !event.user.email_verified",
    "event.authentication.methods.exists(m, m.name == 'mfa') || event.connection.name == 'N'",
    "event.authentication.methods.size() > 0 && event.time - event.authentication.methods[0].timestamp > duration('15m') && event.organization.name == 'N'",
    "!inCIDRs(event.request.ip, ['192.0.2.0/24', '198.51.100.0/24', '2001:db8::/32']) && event.connection.id == 'con_N'",
    "!(event.request.geoip.countryCode in ['CH', 'DE', 'AT', 'FR', 'IT', 'LI']) && event.connection.id == 'con_N'",
    "event.request.geoip.continentCode != 'EU' || event.organization.id == 'org_N'",
    "event.transaction.protocol == 'oauth2-refresh-token' && event.client.client_id == 'N'",
    "event.transaction.acr_values.exists(v, v == 'http://schemas.openid.net/pape/policies/2007/06/multi-factor')",
    "'transfer:N' in event.transaction.requested_scopes",
    "event.resource_server.identifier.startsWith('https://N.example.com/')",
    "event.connection.strategy in ['google-oauth2', 'samlp', 'N']",
    "'role-N' in event.authorization.roles",
    "sets.intersects(event.authorization.roles, ['auditor', 'root', 'N'])",
    "risk.confidence == 'low' && event.client.client_id != 'N'",
    "risk.assessments.ImpossibleTravel.code == 'impossible_travel_from_last_login' && event.client.name == 'N'",
    "risk.assessments.NewDevice.confidence in ['low', 'medium'] && event.connection.name == 'N'",
    "[risk.assessments.NewDevice.code, risk.assessments.UntrustedIP.code].exists(c, c == 'assessment_not_available') && event.client.name == 'N'",
    "event.user.email.matches('^[a-z]+-N@example[.]com$')",
    "event.time.getHours('+02:00') < 6 && event.time.getDayOfWeek() in [0, 6] && event.client.name == 'N'",
    "!enrolled && profile.devices == 0 && event.client.name == 'N'",
    "profile.known && event.time - profile.last_login > duration('720h') && profile.last_place.country != event.request.geoip.countryCode",
];

fn conditions() -> Vec<String> {
    (0..4).flat_map(|round| RULES.iter().map(move |rule| rule.replace('N', &format!("{round}")))).map(restore).collect()
}

/// Words of the language that hold the letter which is replaced.
fn restore(condition: String) -> String {
    let names = ["NewDevice"];
    names.iter().fold(condition, |text, name| {
        (0..4).fold(text, |text, round| text.replace(&name.replace('N', &round.to_string()), name))
    })
}

fn compiled() -> ConditionSet {
    let conditions = conditions();
    let texts: Vec<&str> = conditions.iter().map(String::as_str).collect();
    match ConditionSet::compile(&texts) {
        Ok(set) => set,
        Err(errors) => {
            errors.iter().for_each(|(index, error)| eprintln!("{}: {error}", texts[*index]));
            std::process::exit(1)
        }
    }
}

fn risk() -> RiskAssessment {
    let assessment = |answer, confidence, details| Some(Assessment { answer, confidence, details });
    RiskAssessment {
        confidence: Confidence::High,
        impossible_travel: assessment(Answer::MinimalTravel, Confidence::High, None),
        new_device: assessment(
            Answer::DeviceMatch,
            Confidence::High,
            Some(Details::Device { device: true, useragent: true }),
        ),
        untrusted_ip: assessment(Answer::IpNotFound, Confidence::High, None),
    }
}

fn facts<'a>(event: &'a Value<'a>, risk: &'a RiskAssessment) -> Facts<'a> {
    let time = Timestamp(1_772_000_000_000);
    let last_place = PlaceFacts { city: Some("Bern"), country: Some("CH"), latitude: 46.9, longitude: 7.4, time };
    let profile =
        ProfileFacts { known: true, last_login: Some(time), devices: 2, places: 1, last_place: Some(last_place) };
    Facts { event, risk: Some(risk), profile, enrolled: true }
}

fn main() {
    let set = compiled();
    let (event, risk) = (Value::from_json(EVENT.as_bytes()).unwrap_or(Value::Null), risk());
    let facts = facts(&event, &risk);
    let results: Vec<_> = set.evaluate(&facts).collect();
    println!(
        "{} conditions over an event of {} bytes: {} hold, {} have no value",
        results.len(),
        EVENT.len(),
        results.iter().filter(|result| **result == Ok(true)).count(),
        results.iter().filter(|result| result.is_err()).count(),
    );
    divan::main();
}

/// The event from JSON, and all conditions.
#[divan::bench]
fn event_and_100_conditions(bencher: Bencher<'_, '_>) {
    let (set, risk) = (compiled(), risk());
    bencher.bench_local(|| {
        let event = Value::from_json(black_box(EVENT.as_bytes())).unwrap_or(Value::Null);
        set.evaluate(&facts(&event, &risk)).filter(|result| *result == Ok(true)).count()
    });
}

/// The event from JSON alone.
#[divan::bench]
fn event(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| Value::from_json(black_box(EVENT.as_bytes())));
}

/// All conditions over an event that has been read.
#[divan::bench]
fn evaluation_of_100_conditions(bencher: Bencher<'_, '_>) {
    let (set, risk) = (compiled(), risk());
    let event = Value::from_json(EVENT.as_bytes()).unwrap_or(Value::Null);
    let facts = facts(&event, &risk);
    bencher.bench_local(|| set.evaluate(black_box(&facts)).filter(|result| *result == Ok(true)).count());
}

/// Compilation, as when a tenant's document arrives.
#[divan::bench]
fn compilation_of_100_conditions(bencher: Bencher<'_, '_>) {
    let conditions = conditions();
    let texts: Vec<&str> = conditions.iter().map(String::as_str).collect();
    bencher.bench_local(|| ConditionSet::compile(black_box(&texts)).is_ok());
}
