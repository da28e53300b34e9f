//! `docs/rules.md`, run: every recipe is compiled, and every case of it decided.

use std::collections::BTreeMap;

use model::codec::decode;
use model::{Answer, Assessment, Assessor, Confidence, RiskAssessment, Timestamp};
use policy::rules::{PlaceFacts, ProfileFacts};
use policy::{Defaults, Tenant};
use serde_json::{Value, json};

use crate::page::{Block, Page};

/// What the page has recipes for; more may be added.
const RECIPES: [&str; 37] = [
    "By application",
    "By user metadata",
    "By app metadata",
    "By role",
    "By organization",
    "By connection",
    "By identity provider",
    "By API",
    "By requested scope",
    "When the application asks",
    "Step-up for administrators",
    "Every time",
    "Once every N days",
    "Once a session",
    "N minutes after the last challenge",
    "Not when a refresh token is used",
    "Outside networks",
    "By country",
    "By continent",
    "A new country",
    "Night hours",
    "A dormant account",
    "The first login",
    "By overall confidence",
    "By the confidence of one assessor",
    "By the code of one assessor",
    "A score of one's own",
    "Impossible travel alone denies",
    "An assessor failed",
    "Deny with a message",
    "Require enrolment",
    "Only who is enrolled",
    "A code by e-mail",
    "Limit factors",
    "Exempt users",
    "Exempt connections",
    "Exempt networks",
];

/// Puts one value on top of another; null takes away.
fn merge(into: &mut Value, more: &Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (name, value) in more {
                if value.is_null() {
                    into.remove(name);
                } else {
                    merge(into.entry(name.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (into, more) => *into = more.clone(),
    }
}

fn merged(base: &Value, more: &Value) -> Value {
    let mut merged = base.clone();
    merge(&mut merged, more);
    merged
}

fn confidence(value: &Value) -> Confidence {
    value.as_str().and_then(Confidence::parse).unwrap_or_else(|| panic!("no confidence: {value}"))
}

fn assessment(assessor: Assessor, risk: &Value) -> Option<Assessment> {
    let written = risk["assessments"].get(assessor.as_str())?;
    let is_it = |answer: &&Answer| answer.assessor() == assessor && written["code"] == answer.code();
    let answer = Answer::ALL.iter().find(is_it).unwrap_or_else(|| panic!("no such code: {written}"));
    Some(Assessment { answer: *answer, confidence: confidence(&written["confidence"]), details: None })
}

fn risk(written: &Value) -> RiskAssessment {
    let known: Vec<&str> = Assessor::ALL.iter().map(|assessor| assessor.as_str()).collect();
    for name in written["assessments"].as_object().unwrap().keys() {
        assert!(known.contains(&name.as_str()), "no such assessor: {name}");
    }
    RiskAssessment {
        confidence: confidence(&written["confidence"]),
        impossible_travel: assessment(Assessor::ImpossibleTravel, written),
        new_device: assessment(Assessor::NewDevice, written),
        untrusted_ip: assessment(Assessor::UntrustedIp, written),
    }
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str().map(|text| Timestamp::parse_rfc3339(text).unwrap())
}

fn profile(written: &Value) -> ProfileFacts<'_> {
    let count = |name: &str| written[name].as_u64().unwrap_or_default() as u32;
    let place = written.get("last_place").map(|place| PlaceFacts {
        city: place["city"].as_str(),
        country: place["country"].as_str(),
        latitude: place["latitude"].as_f64().unwrap(),
        longitude: place["longitude"].as_f64().unwrap(),
        time: time(&place["time"]).unwrap(),
    });
    ProfileFacts {
        known: written["known"].as_bool().unwrap(),
        last_login: time(&written["last_login"]),
        devices: count("devices"),
        places: count("places"),
        last_place: place,
    }
}

fn compile(document: &Value) -> Tenant {
    Tenant::compile(document, Some("acme"), &Defaults::default()).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn decide(tenant: &Tenant, login: &Value) -> Value {
    let payload = login["event"].to_string();
    let mut scratch = String::new();
    let event = decode(payload.as_bytes(), None, &mut scratch).unwrap();
    let plan = tenant.plan(&event);
    let risk = risk(&login["risk"]);
    let decision = tenant.decide(&event, plan, Some(&risk).filter(|_| plan.assessed), || profile(&login["profile"]));
    serde_json::to_value(&decision).unwrap()
}

/// The document of a recipe, with its rules and without.
fn documents(base: &Value, recipe: &Value) -> (Value, Value) {
    let is_rule = recipe.get("when").is_some();
    let with = merged(base, &if is_rule { json!({ "rules": [recipe] }) } else { recipe.clone() });
    let without = merged(&with, &json!({ "rules": null }));
    assert!(with["rules"].as_array().is_some_and(|rules| !rules.is_empty()), "a recipe without a rule: {recipe}");
    (with, without)
}

/// Runs the cases of a recipe; answers in how many of them its rules make a difference, and in how many not.
fn run(base: &Value, login: &Value, rule: &Block, cases: &Block) -> (usize, usize) {
    let (with, without) = documents(base, &rule.json());
    let (with, without) = (compile(&with), compile(&without));
    let (mut applies, mut does_not) = (0, 0);
    for (number, case) in cases.json().as_array().unwrap().iter().enumerate() {
        let place = || format!("{} (line {}), case {}", cases.heading, cases.line, number + 1);
        for name in case.as_object().unwrap().keys() {
            assert!(["event", "risk", "profile", "decision"].contains(&name.as_str()), "{}: {name}", place());
        }
        let login = merged(login, case);
        let decided = decide(&with, &login);
        let expected = case["decision"].as_object().unwrap();
        assert!(expected.contains_key("action"), "{}: no action", place());
        for (name, expected) in expected {
            let found = decided.get(name).unwrap_or(&Value::Null);
            assert_eq!(found, expected, "{}: {name} of {decided}", place());
        }
        *if decided == decide(&without, &login) { &mut does_not } else { &mut applies } += 1;
    }
    (applies, does_not)
}

#[test]
fn every_recipe_does_what_its_cases_say() {
    let page = Page::read("rules.md");
    let (base, login) = (page.one("json base"), page.one("json login"));
    let mut cases: BTreeMap<&str, &Block> = BTreeMap::new();
    for block in page.of("json cases") {
        assert!(cases.insert(&block.heading, block).is_none(), "{}: cases twice", block.heading);
    }
    let mut recipes = Vec::new();
    for rule in page.of("json rule") {
        assert!(!recipes.contains(&rule.heading.as_str()), "{}: two recipes under one heading", rule.heading);
        recipes.push(&rule.heading);
        let cases = cases.remove(rule.heading.as_str());
        let cases = cases.unwrap_or_else(|| panic!("{} (line {}): no cases", rule.heading, rule.line));
        let (applies, does_not) = run(&base, &login, rule, cases);
        assert!(applies > 0, "{}: no case where it applies", rule.heading);
        assert!(does_not > 0, "{}: no case where it does not apply", rule.heading);
    }
    assert!(cases.is_empty(), "cases without a recipe: {:?}", cases.keys());
    assert_eq!(recipes, page.headings.iter().map(String::as_str).collect::<Vec<_>>(), "a heading without a recipe");
    for recipe in RECIPES {
        assert!(recipes.contains(&recipe), "the page has lost its recipe {recipe:?}");
    }
}

/// The example at the top of the page is a document.
#[test]
fn other_documents_of_the_page_compile() {
    let page = Page::read("rules.md");
    assert!(page.of("json").count() > 0);
    page.of("json").for_each(|block| drop(compile(&block.json())));
    compile(&page.one("json base"));
}

/// The limits that the page tells are those of the code.
#[test]
fn limits_of_the_page() {
    use policy::document::{MAX_FACTOR_BYTES, MAX_FACTORS, MAX_MESSAGE_BYTES, MAX_RULE_NAME_BYTES, MAX_RULES};
    use policy::rules::{MAX_DEPTH, MAX_NODES, MAX_PATTERN_KIB, MAX_PATTERNS_KIB, MAX_STEPS, MAX_TEXT_BYTES};
    let text = Page::read("rules.md").text;
    let thousands = |n: usize| if n < 1000 { n.to_string() } else { format!("{},{:03}", n / 1000, n % 1000) };
    for wanted in [
        format!("1 to {MAX_RULE_NAME_BYTES} bytes, of its own"),
        format!("1 to {MAX_MESSAGE_BYTES} bytes, handed on"),
        format!("up to {MAX_FACTORS} names of up to {MAX_FACTOR_BYTES} bytes"),
        format!("rules of a tenant | {MAX_RULES} |"),
        format!("{} bytes, {MAX_NODES} parts, {MAX_DEPTH} levels", thousands(MAX_TEXT_BYTES)),
        format!("{} steps: a part", thousands(MAX_STEPS)),
        format!("a compiled pattern | {MAX_PATTERN_KIB} KiB |"),
        format!("all compiled patterns of a tenant | {} KiB |", thousands(MAX_PATTERNS_KIB)),
        format!("(the first {})", policy::decide::MAX_RULE_ERRORS),
    ] {
        assert!(text.contains(&wanted), "{wanted}");
    }
}

/// The members of an object that conditions see; none where it is no such object.
fn members(path: &str) -> Option<Vec<String>> {
    // What is no condition is told with its members.
    let errors = policy::rules::ConditionSet::compile(&[path]).err()?;
    let told = errors.first()?.1.to_string();
    Some(told.split_once("its fields are ")?.1.split(", ").map(str::to_owned).collect())
}

/// The fields of an event that the page names are those that there are.
#[test]
fn fields_of_the_page() {
    let text = Page::read("rules.md").text;
    let table = text.split("| fields of `event` | type |").nth(1).unwrap();
    let (mut named, mut parent) = (Vec::new(), String::new());
    for row in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        for field in row.split('|').nth(1).unwrap().split(',').map(|field| field.trim().trim_matches('`')) {
            let path = if field.starts_with('.') { format!("{parent}{field}") } else { format!("event.{field}") };
            parent = path.rsplit_once('.').unwrap().0.to_owned();
            named.push(path);
        }
    }
    let (mut found, mut open) = (Vec::new(), vec!["event".to_owned()]);
    while let Some(path) = open.pop() {
        match members(&path) {
            Some(members) => open.extend(members.iter().map(|member| format!("{path}.{member}"))),
            None => found.push(path),
        }
    }
    named.sort();
    found.sort();
    assert_eq!(named, found);
}
