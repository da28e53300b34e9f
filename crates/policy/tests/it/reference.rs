//! Our evaluation against the interpreter of the `cel` crate, over conditions of the common subset made up
//! of random parts: both have the same value, or neither has one.

use std::collections::HashMap;
use std::sync::Arc;

use policy::rules::{ConditionSet, Facts, Fault, ProfileFacts};
use policy::value::Value;
use proptest::prelude::*;

/// Every typed field that the conditions below ask for is there: on what is absent, a message and a map
/// differ.
const EVENT: &str = r#"{
    "id": "e1",
    "user": {
        "email": "ab@example.com", "email_verified": true,
        "app_metadata": {
            "level": 3, "ratio": 0.5, "plan": "ab", "tags": ["a", "b", ""], "numbers": [3, 0, -1], "none": null, "yes": true,
            "inner": {"level": 0, "mixed": [1, "a", null, [2], {"a": 1}]}
        }
    },
    "authorization": {"roles": ["admin", "staff", "a"]},
    "stats": {"logins_count": 17},
    "request": {"geoip": {"latitude": -2.5, "countryCode": "CH"}}
}"#;

/// Decisions, from which a condition follows.
struct Tape<'t> {
    bytes: &'t [u8],
    at: usize,
    /// Whether the condition is written for the reference.
    for_reference: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Bool,
    Int,
    Double,
    Text,
    Ints,
    Texts,
    Any,
}

const KINDS: [Kind; 7] = [Kind::Bool, Kind::Int, Kind::Double, Kind::Text, Kind::Ints, Kind::Texts, Kind::Any];

impl Tape<'_> {
    fn below(&mut self, end: usize) -> usize {
        let byte = self.bytes.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        usize::from(byte) % end
    }

    fn one<'c>(&mut self, of: &[&'c str]) -> &'c str {
        of[self.below(of.len())]
    }

    fn leaf(&mut self, kind: Kind, ints: &[String]) -> String {
        match kind {
            Kind::Bool => self.one(&[
                "true",
                "false",
                "event.user.email_verified",
                "has(event.user.email)",
                "has(event.user.app_metadata.plan)",
                "has(event.user.app_metadata.missing)",
                "has(event.user.app_metadata.missing.inner)",
                "enrolled",
            ]),
            Kind::Int => {
                if let Some(int) = ints.get(self.below(3)) {
                    return int.clone();
                }
                self.one(&[
                    "0",
                    "1",
                    "2",
                    "-3",
                    "17",
                    "9223372036854775807",
                    "-9223372036854775808",
                    "event.stats.logins_count",
                ])
            }
            Kind::Double => self.one(&["0.0", "1.5", "-2.5", "1e300", "event.request.geoip.latitude"]),
            Kind::Text => self.one(&[
                "''",
                "'a'",
                "'ab'",
                "'Zürich'",
                "'@example.com'",
                "event.user.email",
                "event.request.geoip.countryCode",
            ]),
            Kind::Ints => self.one(&["[]", "[1, 2]", "[0, 3, 17]"]),
            Kind::Texts => self.one(&["['a']", "['a', 'ab', '']", "event.authorization.roles"]),
            Kind::Any => self.one(&[
                "event.user.app_metadata.level",
                "event.user.app_metadata.ratio",
                "event.user.app_metadata.plan",
                "event.user.app_metadata.tags",
                "event.user.app_metadata['numbers']",
                "event.user.app_metadata.none",
                "event.user.app_metadata.yes",
                "event.user.app_metadata.inner",
                "event.user.app_metadata.inner.level",
                "event.user.app_metadata.inner.mixed",
                "event.user.app_metadata.missing",
            ]),
        }
        .to_owned()
    }

    fn expression(&mut self, kind: Kind, depth: usize, ints: &mut Vec<String>) -> String {
        if depth == 0 || self.below(5) == 0 {
            return self.leaf(kind, ints);
        }
        let depth = depth - 1;
        macro_rules! part {
            ($kind:expr) => {
                self.expression($kind, depth, ints)
            };
        }
        if self.below(8) == 0 {
            let (condition, yes, no) = (part!(Kind::Bool), part!(kind), part!(kind));
            return format!("({condition} ? {yes} : {no})");
        }
        match kind {
            Kind::Bool => match self.below(10) {
                0 => format!("({} && {})", part!(Kind::Bool), part!(Kind::Bool)),
                1 => format!("({} || {})", part!(Kind::Bool), part!(Kind::Bool)),
                2 => format!("!({})", part!(Kind::Bool)),
                3 => {
                    let kind = KINDS[self.below(KINDS.len())];
                    let operator = self.one(&["==", "!="]);
                    format!("({} {operator} {})", part!(kind), part!(kind))
                }
                4 => {
                    let kind = [Kind::Int, Kind::Double, Kind::Text][self.below(3)];
                    let operator = self.one(&["<", "<=", ">", ">="]);
                    let (left, right) = (part!(kind), part!(kind));
                    if self.for_reference && kind == Kind::Double {
                        // By CEL's definition nothing is less or greater than what is no number. The reference
                        // has an error instead, which `&&` and `||` may replace by another; so it is not asked.
                        let numbers = format!("({left} == {left}) == ({right} == {right})");
                        return format!("({numbers} ? ({left} == {left} ? {left} {operator} {right} : false) : false)");
                    }
                    format!("({left} {operator} {right})")
                }
                5 => format!("({} in {})", part!(Kind::Int), part!(Kind::Ints)),
                6 => format!("({} in {})", part!(Kind::Text), part!(Kind::Texts)),
                7 => {
                    let function = self.one(&["contains", "startsWith", "endsWith"]);
                    format!("{}.{function}({})", part!(Kind::Text), part!(Kind::Text))
                }
                8 => {
                    let function = self.one(&["exists", "all", "exists_one"]);
                    let (range, name, body) = self.within(Kind::Bool, depth, ints);
                    format!("{range}.{function}({name}, {body})")
                }
                _ => format!("({} == {})", part!(Kind::Any), part!(Kind::Any)),
            },
            Kind::Int => match self.below(4) {
                0 => format!("size({})", part!([Kind::Text, Kind::Ints, Kind::Texts][depth % 3])),
                1 => format!("(-({}))", part!(Kind::Int)),
                2 => format!("{}[{}]", part!(Kind::Ints), part!(Kind::Int)),
                _ => {
                    let operator = self.one(&["+", "-", "*", "/", "%"]);
                    format!("({} {operator} {})", part!(Kind::Int), part!(Kind::Int))
                }
            },
            Kind::Double => {
                let operator = self.one(&["+", "-", "*", "/"]);
                format!("({} {operator} {})", part!(Kind::Double), part!(Kind::Double))
            }
            Kind::Text => match self.below(3) {
                0 => format!("string({})", part!(Kind::Int)),
                1 => format!("{}[{}]", part!(Kind::Texts), part!(Kind::Int)),
                _ => format!("({} + {})", part!(Kind::Text), part!(Kind::Text)),
            },
            Kind::Ints => match self.below(4) {
                0 => format!("({} + {})", part!(Kind::Ints), part!(Kind::Ints)),
                1 => format!("[{}, {}]", part!(Kind::Int), part!(Kind::Int)),
                2 => {
                    let (range, name, body) = self.within(Kind::Bool, depth, ints);
                    format!("{range}.filter({name}, {body})")
                }
                _ => {
                    let (range, name, body) = self.within(Kind::Int, depth, ints);
                    format!("{range}.map({name}, {body})")
                }
            },
            Kind::Texts => match self.below(2) {
                0 => format!("({} + {})", part!(Kind::Texts), part!(Kind::Texts)),
                _ => format!("[{}, {}]", part!(Kind::Text), part!(Kind::Text)),
            },
            Kind::Any => self.leaf(kind, ints),
        }
    }

    /// A list, a variable, and an expression in which the variable is known.
    fn within(&mut self, kind: Kind, depth: usize, ints: &mut Vec<String>) -> (String, String, String) {
        let range = self.expression(Kind::Ints, depth, ints);
        let name = format!("x{}", ints.len());
        ints.push(name.clone());
        let body = self.expression(kind, depth, ints);
        ints.pop();
        (range, name, body)
    }
}

fn theirs(value: &Value<'_>) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(value) => cel::Value::Bool(*value),
        Value::Int(value) => cel::Value::Int(*value),
        Value::Double(value) => cel::Value::Float(*value),
        Value::String(text) => cel::Value::String(Arc::new(text.to_string())),
        Value::List(values) => cel::Value::List(Arc::new(values.iter().map(theirs).collect())),
        Value::Map(map) => {
            let entries = map.entries().iter().map(|(key, value)| (key.to_string().into(), theirs(value)));
            cel::Value::Map(cel::objects::Map { map: Arc::new(entries.collect::<HashMap<_, _>>()) })
        }
    }
}

fn compare(decisions: &[u8], depth: usize) -> Result<(), TestCaseError> {
    let written =
        |for_reference| Tape { bytes: decisions, at: 0, for_reference }.expression(Kind::Bool, depth, &mut Vec::new());
    let condition = &written(false);
    let event = Value::from_json(EVENT.as_bytes()).unwrap();
    let facts = Facts { event: &event, risk: None, profile: ProfileFacts::default(), enrolled: true };
    let Ok(set) = ConditionSet::compile(&[condition]) else {
        let errors = ConditionSet::compile(&[condition]).unwrap_err();
        // Such a condition may be too large; what is wrong with it otherwise is our mistake.
        let told = errors[0].1.to_string();
        prop_assert!(told.contains("bytes of text") || told.contains("more than 500"), "{condition}: {told}");
        return Ok(());
    };
    let ours = set.evaluate(&facts).next().unwrap();
    if ours.as_ref().is_err_and(|error| error.fault == Fault::TooManySteps) {
        return Ok(());
    }
    let program = cel::Program::compile(&written(true)).unwrap();
    let mut context = cel::Context::default();
    context.add_variable_from_value("event", theirs(&event));
    context.add_variable_from_value("enrolled", true);
    let reference = program.execute(&context);
    match (&ours, &reference) {
        (Ok(ours), Ok(cel::Value::Bool(theirs))) => prop_assert_eq!(ours, theirs, "{}", condition),
        (Err(_), Err(_)) => {}
        _ => prop_assert!(false, "{condition}: ours {ours:?}, theirs {reference:?}"),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn conditions_mean_what_the_reference_says(decisions in prop::collection::vec(any::<u8>(), 1..120), depth in 1..6usize) {
        compare(&decisions, depth)?;
    }
}
