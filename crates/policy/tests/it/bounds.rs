//! Limits, and texts that are written to do harm.

use policy::rules::{ConditionSet, Facts, Fault, MAX_STEPS, MAX_TEXT_BYTES, ProfileFacts};
use policy::value::Value;
use proptest::prelude::*;

use crate::{EVENT, evaluate_over};

fn told(condition: &str) -> Result<(), String> {
    ConditionSet::compile(&[condition]).map(|_| ()).map_err(|errors| errors[0].1.to_string())
}

#[test]
fn size_and_depth_are_limited() {
    let longest = format!("{}true", " ".repeat(MAX_TEXT_BYTES - 4));
    assert_eq!(told(&longest), Ok(()));
    let too_long = told(&format!(" {longest}")).unwrap_err();
    assert_eq!(too_long, "line 1, column 1: 2049 bytes of text, and at most 2048 are allowed");

    let nested = |depth: usize| format!("{}true{}", "!(".repeat(depth), ")".repeat(depth));
    assert_eq!(told(&nested(90)), Ok(()));
    assert!(told(&nested(100)).unwrap_err().ends_with("nests deeper than 100 levels"));
    let sum = |terms: usize| format!("{} > 0", vec!["1"; terms].join("+"));
    assert_eq!(told(&sum(98)), Ok(()));
    assert_eq!(told(&sum(200)).unwrap_err(), "line 1, column 200: nests deeper than 100 levels");
    let alternatives = |count: usize| vec!["enrolled"; count].join("||");
    assert_eq!(told(&alternatives(200)), Ok(()));
    let list = |count: usize| format!("1 in [{}]", vec!["1"; count].join(","));
    assert_eq!(told(&list(490)), Ok(()));
    assert_eq!(told(&list(600)).unwrap_err(), "line 1, column 1001: has more than 500 parts");
}

#[test]
fn patterns_are_limited() {
    for pattern in
        ["[a-z0-9._]+@example[.]com", r"^\\w+$", "(?i)bot|crawl|spider", r"\\w+@(\\w+[.])+\\w{2,5}", "[^é]+.*Z.*$"]
    {
        assert_eq!(told(&format!("event.user.email.matches('{pattern}')")), Ok(()), "{pattern}");
    }
    for pattern in [r"(\\w{1000}){10}", "[01]*1[01]{20}", "((((a{100}){100}){100}){100})", r"\\pL{500}"] {
        let told = told(&format!("event.user.email.matches('{pattern}')")).unwrap_err();
        assert!(told.contains("a pattern that takes more than 256 KiB"), "{pattern}: {told}");
    }
    let nested = format!("event.user.email.matches('{}a{}')", "(".repeat(900), ")".repeat(900));
    assert!(told(&nested).unwrap_err().contains("not a pattern: "));
}

/// Many patterns, each of an allowed size, or each refused, cannot take much together.
#[test]
fn patterns_are_limited_together() {
    for pattern in ["[01]*1[01]{9}", "[01]*1[01]{20}"] {
        let condition = vec![format!("matches('', '{pattern}')"); 40].join("||");
        let errors = ConditionSet::compile(&[condition.as_str(); 100]).unwrap_err();
        let (last, error) = errors.last().unwrap();
        assert_eq!(
            (*last, error.problem.as_str()),
            (99, "the patterns of all conditions take more than 4096 KiB together")
        );
    }
}

/// Whatever a condition does with a large event, it ends within its steps, and nothing absorbs that.
#[test]
fn steps_are_limited() {
    let tags = vec!["1"; 2_000].join(",");
    let agent = "x".repeat(700_000);
    let event =
        format!(r#"{{"user": {{"app_metadata": {{"tags": [{tags}]}}}}, "request": {{"user_agent": "{agent}"}}}}"#);
    let event = Value::from_json(event.as_bytes()).unwrap();
    let facts = Facts { event: &event, risk: None, profile: ProfileFacts::default(), enrolled: true };
    let tags = "event.user.app_metadata.tags";
    let agent = "event.request.user_agent";
    let costly = [
        format!("{tags}.all(a, {tags}.all(b, a == b))"),
        format!("{tags}.all(a, {tags}.all(b, a == b)) || enrolled"),
        format!("{tags}.exists(a, {tags}.exists(b, a != b)) || enrolled"),
        format!("[{tags}, {tags}, {tags}, {tags}, {tags}, {tags}] == [{tags}, {tags}, {tags}, {tags}, {tags}, {tags}]"),
        format!("sets.contains({tags}, [0, 2, 3, 4, 5, 6, 7, 8, 9]) || {tags}.exists(x, 0 in {tags})"),
        format!("{agent}.matches('(a|b|c)+d') || enrolled"),
        format!("{tags}.map(x, {agent} + {agent}).size() > 0"),
        format!("{tags}.exists(x, {agent}.contains('y'))"),
        format!("({tags} + {tags} + {tags} + {tags}).size() > 0"),
    ];
    let conditions: Vec<&str> = costly.iter().map(String::as_str).collect();
    for (condition, result) in costly.iter().zip(evaluate_over(&conditions, &facts)) {
        assert_eq!(result.map_err(|error| error.fault), Err(Fault::TooManySteps), "{condition}");
    }
    let fine = [
        format!("{tags}.all(a, a == 1)"),
        format!("!{agent}.contains('xyz') && size({agent}) == 700000 && {agent}.startsWith('xx')"),
    ];
    let conditions: Vec<&str> = fine.iter().map(String::as_str).collect();
    assert_eq!(evaluate_over(&conditions, &facts), [Ok(true), Ok(true)]);
    const { assert!(MAX_STEPS == 10_000) };
}

/// Pieces of conditions, right and wrong.
const PIECES: &[&str] = &[
    "event",
    "event.user",
    ".email",
    ".user",
    "risk.",
    "profile",
    "enrolled",
    "x",
    "'a'",
    "\"b\"",
    "1",
    "2.5",
    "0x1f",
    "1u",
    "b'\\xff'",
    "r'\\'",
    "'''",
    "'\\u00e9'",
    "'\\U0011ffff'",
    "\\",
    "-",
    "!",
    "+",
    "*",
    "/",
    "%",
    "&&",
    "||",
    "==",
    "!=",
    "<",
    ">=",
    " in ",
    "?",
    ":",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ".",
    ",",
    "has(",
    ".exists(x,",
    ".map(",
    ".all(x, x",
    "size(",
    "timestamp(",
    "duration('1h')",
    ".getHours(",
    "inCIDRs(",
    "cidr('192.0.2.0/24')",
    ".containsIP(",
    ".matches('(')",
    "null",
    "true",
    "false",
    "sets.contains(",
    "//",
    "\n",
    "\r",
    "\t",
    "é",
    "\u{0}",
    "\u{feff}",
    "😀",
    "`",
    "as",
    "for",
    "1e999",
    "9223372036854775808",
    "[0]",
    "['a']",
    "{'a': 1}",
];

fn compile_and_evaluate(text: &str) {
    let Ok(set) = ConditionSet::compile(&[text]) else { return };
    let event = Value::from_json(EVENT.as_bytes()).unwrap();
    let facts = Facts { event: &event, risk: None, profile: ProfileFacts::default(), enrolled: true };
    assert_eq!(set.evaluate(&facts).count(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn no_text_does_harm(text in "\\PC{0,200}") {
        compile_and_evaluate(&text);
    }

    #[test]
    fn no_order_of_tokens_does_harm(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40)) {
        compile_and_evaluate(&pieces.concat());
    }

    /// One piece, often enough that it nests or follows itself as deep as its text may.
    #[test]
    fn no_repetition_does_harm(
        start in prop::sample::select(PIECES), piece in prop::sample::select(PIECES),
        second in prop::sample::select(PIECES), times in 0..700usize,
    ) {
        compile_and_evaluate(&format!("{start}{}", format!("{piece}{second}").repeat(times)));
    }
}
