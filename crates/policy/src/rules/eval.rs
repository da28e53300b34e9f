//! Evaluation: a walk over the checked tree, with a budget of steps.

use std::cell::OnceCell;
use std::cmp::Ordering;

use super::data::{Items, Pairs, Text, Val};
use super::facts::{Facts, Field, Source};
use super::time;
use super::tree::{Arithmetic, Convert, Fold, FoldOf, Node, Op, Order, Search, Sets, TimePart};
use super::{EvalError, Fault, MAX_STEPS};

/// How many bytes of text are looked at in one step.
const BYTES_A_STEP: usize = 256;
/// How many bytes a pattern looks at in one step.
const PATTERN_BYTES_A_STEP: usize = 64;
/// Names and texts in errors are cut after so many characters.
const MAX_QUOTED_CHARS: usize = 100;

/// A fact that was looked up: the value, and whether it was there.
type Known<'a> = OnceCell<(bool, Val<'a>)>;

/// The facts of one login as its conditions ask for them: each is looked up once.
pub(crate) struct Slots<'a> {
    facts: &'a Facts<'a>,
    paths: &'a [Box<[&'static Field]>],
    known: Box<[Known<'a>]>,
}

impl<'a> Slots<'a> {
    pub(crate) fn new(facts: &'a Facts<'a>, paths: &'a [Box<[&'static Field]>]) -> Self {
        Self { facts, paths, known: paths.iter().map(|_| OnceCell::new()).collect() }
    }

    fn get(&self, slot: usize) -> Option<&(bool, Val<'a>)> {
        let path = self.paths.get(slot)?;
        Some(self.known.get(slot)?.get_or_init(|| Source::Facts(self.facts).follow(path)))
    }
}

/// Evaluates one condition.
pub(crate) fn evaluate<'a>(condition: &'a Node, slots: &Slots<'a>) -> Result<bool, EvalError> {
    let mut run = Run { slots, locals: Vec::new(), steps_left: MAX_STEPS };
    let value = run.eval(condition).map_err(|error| *error)?;
    truth(&value).map_err(|fault| *at(condition, fault))
}

struct Run<'a, 's> {
    slots: &'s Slots<'a>,
    locals: Vec<Val<'a>>,
    steps_left: usize,
}

/// An error is boxed: it is rare, and every value would be moved about with room for one.
type Outcome<'a> = Result<Val<'a>, Box<EvalError>>;

fn at(node: &Node, fault: Fault) -> Box<EvalError> {
    Box::new(EvalError { line: node.place.line.into(), column: node.place.column.into(), fault })
}

fn wrong(expected: &'static str, found: &Val<'_>) -> Fault {
    Fault::WrongType { expected, found: found.type_name() }
}

fn truth(value: &Val<'_>) -> Result<bool, Fault> {
    match value {
        Val::Bool(value) => Ok(*value),
        other => Err(wrong("bool", other)),
    }
}

fn text<'v>(value: &'v Val<'_>) -> Result<&'v str, Fault> {
    match value {
        Val::Text(text) => Ok(text.as_str()),
        other => Err(wrong("string", other)),
    }
}

fn list<'v, 'a>(value: &'v Val<'a>) -> Result<&'v Items<'a>, Fault> {
    match value {
        Val::List(items) => Ok(items),
        other => Err(wrong("list", other)),
    }
}

fn quoted(name: &str) -> Box<str> {
    name.chars().take(MAX_QUOTED_CHARS).collect()
}

fn no_key(key: &Val<'_>) -> Fault {
    Fault::NoSuchKey(match key {
        Val::Text(text) => quoted(text.as_str()),
        Val::Int(number) => number.to_string().into(),
        Val::Bool(value) => value.to_string().into(),
        other => other.type_name().into(),
    })
}

impl<'a> Run<'a, '_> {
    fn spend(&mut self, steps: usize) -> Result<(), Fault> {
        match self.steps_left.checked_sub(steps) {
            Some(left) => {
                self.steps_left = left;
                Ok(())
            }
            None => {
                // Nothing may absorb this and go on.
                self.steps_left = 0;
                Err(Fault::TooManySteps)
            }
        }
    }

    fn spend_on(&mut self, text: &str) -> Result<(), Fault> {
        if text.len() < BYTES_A_STEP { Ok(()) } else { self.spend(text.len() / BYTES_A_STEP) }
    }

    #[inline]
    fn eval(&mut self, node: &'a Node) -> Outcome<'a> {
        if self.steps_left == 0 {
            return Err(at(node, Fault::TooManySteps));
        }
        self.steps_left -= 1;
        match &node.op {
            Op::Const(value) => Ok(value.lend()),
            Op::Slot(slot) => Ok(self.slots.get(*slot).map_or(Val::Null, |(_, value)| value.clone())),
            Op::HasSlot(slot) => Ok(Val::Bool(self.slots.get(*slot).is_some_and(|(there, _)| *there))),
            Op::Local(number) => Ok(self.locals.get(*number).cloned().unwrap_or(Val::Null)),
            Op::Not(operand) => {
                let value = self.eval(operand)?;
                truth(&value).map(|value| Val::Bool(!value)).map_err(|fault| at(node, fault))
            }
            Op::Logic(or, operands) => self.logic(*or, operands),
            Op::If(parts) => {
                let [condition, yes, no] = &**parts;
                let value = self.eval(condition)?;
                let holds = truth(&value).map_err(|fault| at(condition, fault))?;
                self.eval(if holds { yes } else { no })
            }
            Op::Equal(wanted, operands) => {
                let (a, b) = self.both(operands)?;
                self.equal(&a, &b).map(|equal| Val::Bool(equal == *wanted)).map_err(|fault| at(node, fault))
            }
            Op::In(operands) => {
                let (element, container) = self.both(operands)?;
                self.is_in(&element, &container).map(Val::Bool).map_err(|fault| at(node, fault))
            }
            Op::Fold(fold, of) => self.fold(node, *fold, of),
            _ => self.eval_other(node),
        }
    }

    /// What is not among the most frequent.
    fn eval_other(&mut self, node: &'a Node) -> Outcome<'a> {
        match &node.op {
            Op::Field(operand, field) => match self.eval(operand)? {
                Val::Message(source) => Ok(source.read_or_default(field)),
                other => Err(at(node, wrong("message", &other))),
            },
            Op::HasField(operand, field) => match self.eval(operand)? {
                Val::Message(source) => Ok(Val::Bool(source.read(field).is_some())),
                other => Err(at(node, wrong("message", &other))),
            },
            Op::Key(operand, key) => match self.eval(operand)? {
                Val::Map(pairs) => {
                    self.spend_on_search(&pairs).map_err(|fault| at(node, fault))?;
                    pairs.named(key).ok_or_else(|| at(node, Fault::NoSuchKey(quoted(key))))
                }
                other => Err(at(node, wrong("map", &other))),
            },
            Op::HasKey(operand, key) => match self.eval(operand)? {
                Val::Map(pairs) => {
                    self.spend_on_search(&pairs).map_err(|fault| at(node, fault))?;
                    Ok(Val::Bool(pairs.named(key).is_some()))
                }
                other => Err(at(node, wrong("map", &other))),
            },
            Op::Index(operands) => {
                let (container, index) = self.both(operands)?;
                self.index(&container, &index).map_err(|fault| at(node, fault))
            }
            Op::Negate(operand) => match self.eval(operand)? {
                Val::Int(value) => value.checked_neg().map(Val::Int).ok_or_else(|| at(node, Fault::Overflow)),
                Val::Double(value) => Ok(Val::Double(-value)),
                other => Err(at(node, wrong("int or double", &other))),
            },
            Op::Order(order, operands) => {
                let (a, b) = self.both(operands)?;
                compare(*order, &a, &b).map_err(|fault| at(node, fault))
            }
            Op::Arithmetic(operator, operands) => {
                let (a, b) = self.both(operands)?;
                self.arithmetic(*operator, a, b).map_err(|fault| at(node, fault))
            }
            Op::List(elements) => {
                let values: Result<_, _> = elements.iter().map(|element| self.eval(element)).collect();
                Ok(Val::List(Items::Owned(values?)))
            }
            Op::Map(entries) => self.map(node, entries),
            Op::Size(operand) => {
                let value = self.eval(operand)?;
                self.size(&value).map_err(|fault| at(node, fault))
            }
            Op::Search(search, operands) => {
                let (within, wanted) = self.both(operands)?;
                self.search(*search, &within, &wanted).map_err(|fault| at(node, fault))
            }
            Op::Matches(operand, pattern) => {
                let value = self.eval(operand)?;
                let text = text(&value).map_err(|fault| at(node, fault))?;
                self.spend(text.len() / PATTERN_BYTES_A_STEP).map_err(|fault| at(node, fault))?;
                Ok(Val::Bool(pattern.is_match(text)))
            }
            Op::Case(upper, operand) => {
                let value = self.eval(operand)?;
                let text = text(&value).map_err(|fault| at(node, fault))?;
                self.spend_on(text).map_err(|fault| at(node, fault))?;
                let changes = |byte: u8| if *upper { byte.is_ascii_lowercase() } else { byte.is_ascii_uppercase() };
                if !text.bytes().any(changes) {
                    return Ok(value);
                }
                Ok(Val::text(&if *upper { text.to_ascii_uppercase() } else { text.to_ascii_lowercase() }))
            }
            Op::Convert(to, operand) => {
                let value = self.eval(operand)?;
                self.convert(*to, value).map_err(|fault| at(node, fault))
            }
            Op::TimePart(part, offset_ms, operand) => {
                let value = self.eval(operand)?;
                time_part(*part, *offset_ms, &value).map_err(|fault| at(node, fault))
            }
            Op::IsIp(operand) => {
                let value = self.eval(operand)?;
                let text = text(&value).map_err(|fault| at(node, fault))?;
                Ok(Val::Bool(model::parse_ip(text.trim()).is_some()))
            }
            Op::InNetworks(operand, networks) => {
                let value = self.eval(operand)?;
                let text = text(&value).map_err(|fault| at(node, fault))?;
                let ip = model::parse_ip(text.trim());
                Ok(Val::Bool(ip.is_some_and(|ip| networks.iter().any(|network| network.contains(&ip)))))
            }
            Op::Sets(sets, operands) => {
                let (a, b) = self.both(operands)?;
                self.sets(*sets, &a, &b).map_err(|fault| at(node, fault))
            }
            // All others are answered before.
            _ => Ok(Val::Null),
        }
    }

    fn both(&mut self, operands: &'a [Node; 2]) -> Result<(Val<'a>, Val<'a>), Box<EvalError>> {
        let [a, b] = operands;
        Ok((self.eval(a)?, self.eval(b)?))
    }

    /// The value that decides absorbs whatever the other operand is, an error too.
    fn logic(&mut self, decisive: bool, operands: &'a [Node; 2]) -> Outcome<'a> {
        let [a, b] = operands;
        let mut side = |node: &'a Node| {
            let value = self.eval(node)?;
            truth(&value).map_err(|fault| at(node, fault))
        };
        let first = side(a);
        if first == Ok(decisive) {
            return Ok(Val::Bool(decisive));
        }
        let second = side(b);
        if second == Ok(decisive) {
            return Ok(Val::Bool(decisive));
        }
        first.and(second).map(Val::Bool)
    }

    fn fold(&mut self, node: &'a Node, fold: Fold, of: &'a FoldOf) -> Outcome<'a> {
        let range = self.eval(&of.range)?;
        let items = match &range {
            Val::List(items) => items.len(),
            Val::Map(pairs) => pairs.len(),
            other => return Err(at(&of.range, wrong("list or map", other))),
        };
        let item = |index| match &range {
            Val::List(items) => items.get(index),
            Val::Map(pairs) => pairs.at(index).map(|(key, _)| key),
            _ => None,
        };
        let mut first_error = None;
        let mut count = 0;
        let mut values = Vec::new();
        for index in 0..items {
            self.spend(1).map_err(|fault| at(node, fault))?;
            let Some(item) = item(index) else { break };
            let depth = self.locals.len();
            self.locals.push(item.clone());
            let taken = match &of.filter {
                None => Ok(true),
                Some(filter) => self.eval(filter).and_then(|v| truth(&v).map_err(|fault| at(filter, fault))),
            };
            let result = taken.and_then(|taken| if taken { self.eval(&of.body).map(Some) } else { Ok(None) });
            self.locals.truncate(depth);
            if fold == Fold::Map {
                values.extend(result?);
                continue;
            }
            let holds = result.and_then(|value| match value {
                Some(value) => truth(&value).map_err(|fault| at(&of.body, fault)),
                None => Ok(false),
            });
            match (fold, holds) {
                (Fold::Exists, Ok(true)) => return Ok(Val::Bool(true)),
                (Fold::All, Ok(false)) => return Ok(Val::Bool(false)),
                (Fold::Exists | Fold::All, Ok(_)) => {}
                (Fold::Exists | Fold::All, Err(error)) => {
                    first_error.get_or_insert(error);
                }
                (_, holds) => {
                    if holds? {
                        count += 1;
                        if fold == Fold::Filter {
                            values.push(item);
                        }
                    }
                }
            }
        }
        match (fold, first_error) {
            (_, Some(error)) => Err(error),
            (Fold::Exists, None) => Ok(Val::Bool(false)),
            (Fold::All, None) => Ok(Val::Bool(true)),
            (Fold::ExistsOne, None) => Ok(Val::Bool(count == 1)),
            (Fold::Filter | Fold::Map, None) => Ok(Val::List(Items::Owned(values.into()))),
        }
    }

    fn map(&mut self, node: &'a Node, entries: &'a [[Node; 2]]) -> Outcome<'a> {
        let mut pairs: Vec<(Val<'a>, Val<'a>)> = Vec::with_capacity(entries.len());
        for entry in entries {
            let (key, value) = self.both(entry)?;
            if !matches!(key, Val::Text(_) | Val::Int(_) | Val::Bool(_)) {
                return Err(at(&entry[0], wrong("string, int or bool", &key)));
            }
            self.spend(pairs.len() / 8).map_err(|fault| at(node, fault))?;
            if pairs.iter().any(|(other, _)| other.same(&key)) {
                return Err(at(&entry[0], Fault::KeyTwice));
            }
            pairs.push((key, value));
        }
        Ok(Val::Map(Pairs::Owned(pairs.into())))
    }

    /// A map that a condition writes is searched entry by entry.
    fn spend_on_search(&mut self, pairs: &Pairs<'a>) -> Result<(), Fault> {
        match pairs {
            Pairs::Json(_) => Ok(()),
            Pairs::Vals(_) | Pairs::Owned(_) => self.spend(pairs.len() / 8),
        }
    }

    fn equal(&mut self, a: &Val<'_>, b: &Val<'_>) -> Result<bool, Fault> {
        match (a, b) {
            (Val::List(a), Val::List(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (a, b) in a.iter().zip(b.iter()) {
                    self.spend(1)?;
                    if !self.equal(&a, &b)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Val::Map(a), Val::Map(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for index in 0..a.len() {
                    self.spend(1 + b.len() / 8)?;
                    let Some((key, value)) = a.at(index) else { return Ok(false) };
                    match b.get(&key) {
                        Some(other) if self.equal(&value, &other)? => {}
                        _ => return Ok(false),
                    }
                }
                Ok(true)
            }
            (Val::Text(a), Val::Text(b)) => {
                if a.as_str().len() != b.as_str().len() {
                    return Ok(false);
                }
                self.spend_on(a.as_str())?;
                Ok(a.as_str() == b.as_str())
            }
            _ => Ok(a.same(b)),
        }
    }

    fn is_in(&mut self, element: &Val<'a>, container: &Val<'a>) -> Result<bool, Fault> {
        match container {
            Val::List(items) => {
                for item in items.iter() {
                    if self.equal(&item, element)? {
                        return Ok(true);
                    }
                    self.spend(1)?;
                }
                Ok(false)
            }
            Val::Map(pairs) => {
                self.spend_on_search(pairs)?;
                Ok(pairs.get(element).is_some())
            }
            other => Err(wrong("list or map", other)),
        }
    }

    fn index(&mut self, container: &Val<'a>, index: &Val<'a>) -> Result<Val<'a>, Fault> {
        match container {
            Val::List(items) => {
                let number = match index {
                    Val::Int(number) => *number,
                    // As CEL has it, a whole number may come as a float: JSON has but one kind.
                    Val::Double(number) if number.fract() == 0.0 && number.abs() < 1e15 => *number as i64,
                    other => return Err(wrong("int", other)),
                };
                let found = usize::try_from(number).ok().and_then(|number| items.get(number));
                found.ok_or(Fault::NoSuchIndex { index: number, len: items.len() })
            }
            Val::Map(pairs) => {
                self.spend_on_search(pairs)?;
                pairs.get(index).ok_or_else(|| no_key(index))
            }
            other => Err(wrong("list or map", other)),
        }
    }

    fn size(&mut self, value: &Val<'_>) -> Result<Val<'a>, Fault> {
        let size = match value {
            Val::Text(text) => {
                self.spend_on(text.as_str())?;
                text.as_str().chars().count()
            }
            Val::List(items) => items.len(),
            Val::Map(pairs) => pairs.len(),
            other => return Err(wrong("string, list or map", other)),
        };
        i64::try_from(size).map(Val::Int).map_err(|_| Fault::Overflow)
    }

    fn search(&mut self, search: Search, within: &Val<'_>, wanted: &Val<'_>) -> Result<Val<'a>, Fault> {
        let (within, wanted) = (text(within)?, text(wanted)?);
        let found = match search {
            Search::StartsWith => {
                self.spend_on(wanted)?;
                within.starts_with(wanted)
            }
            Search::EndsWith => {
                self.spend_on(wanted)?;
                within.ends_with(wanted)
            }
            Search::Contains => {
                self.spend_on(within)?;
                within.contains(wanted)
            }
        };
        Ok(Val::Bool(found))
    }

    fn arithmetic(&mut self, operator: Arithmetic, a: Val<'a>, b: Val<'a>) -> Result<Val<'a>, Fault> {
        use Arithmetic::{Add, Divide, Modulo, Multiply, Subtract};
        match (operator, a, b) {
            (operator, Val::Int(a), Val::Int(b)) => {
                if b == 0 && matches!(operator, Divide | Modulo) {
                    return Err(Fault::DivisionByZero);
                }
                let result = match operator {
                    Add => a.checked_add(b),
                    Subtract => a.checked_sub(b),
                    Multiply => a.checked_mul(b),
                    Divide => a.checked_div(b),
                    Modulo => a.checked_rem(b),
                };
                result.map(Val::Int).ok_or(Fault::Overflow)
            }
            (Add, Val::Double(a), Val::Double(b)) => Ok(Val::Double(a + b)),
            (Subtract, Val::Double(a), Val::Double(b)) => Ok(Val::Double(a - b)),
            (Multiply, Val::Double(a), Val::Double(b)) => Ok(Val::Double(a * b)),
            (Divide, Val::Double(a), Val::Double(b)) => Ok(Val::Double(a / b)),
            (Add, Val::Text(a), Val::Text(b)) => {
                self.spend_on(a.as_str())?;
                self.spend_on(b.as_str())?;
                let mut both = String::with_capacity(a.as_str().len() + b.as_str().len());
                both.push_str(a.as_str());
                both.push_str(b.as_str());
                Ok(Val::Text(Text::Owned(both.into())))
            }
            (Add, Val::List(a), Val::List(b)) => {
                self.spend(a.len() + b.len())?;
                Ok(Val::List(Items::Owned(a.iter().chain(b.iter()).collect())))
            }
            (Add, Val::Time(time), Val::Duration(by)) | (Add, Val::Duration(by), Val::Time(time)) => {
                time::in_range(time.checked_add(by)).map(Val::Time).ok_or(Fault::Overflow)
            }
            (Subtract, Val::Time(time), Val::Duration(by)) => {
                time::in_range(time.checked_sub(by)).map(Val::Time).ok_or(Fault::Overflow)
            }
            (Subtract, Val::Time(a), Val::Time(b)) => {
                time::duration_in_range(a.checked_sub(b)).map(Val::Duration).ok_or(Fault::Overflow)
            }
            (Add, Val::Duration(a), Val::Duration(b)) => {
                time::duration_in_range(a.checked_add(b)).map(Val::Duration).ok_or(Fault::Overflow)
            }
            (Subtract, Val::Duration(a), Val::Duration(b)) => {
                time::duration_in_range(a.checked_sub(b)).map(Val::Duration).ok_or(Fault::Overflow)
            }
            (operator, a, b) => {
                Err(Fault::NoOperator { operator: operator.sign(), left: a.type_name(), right: b.type_name() })
            }
        }
    }

    fn convert(&mut self, to: Convert, value: Val<'a>) -> Result<Val<'a>, Fault> {
        let cannot = |value: &Val<'_>, to: &'static str| Fault::NotConvertible { from: value.type_name(), to };
        if let Val::Text(text) = &value {
            self.spend_on(text.as_str())?;
        }
        match (to, &value) {
            (Convert::Int, Val::Int(_))
            | (Convert::Double, Val::Double(_))
            | (Convert::Text, Val::Text(_))
            | (Convert::Bool, Val::Bool(_))
            | (Convert::Time, Val::Time(_))
            | (Convert::Duration, Val::Duration(_)) => Ok(value),
            (Convert::Int, Val::Double(number)) => {
                // The floats next to these ends are in the range of whole numbers; the ends are not sure to be.
                const END: f64 = 9_223_372_036_854_775_807.0;
                if *number > -END && *number < END { Ok(Val::Int(*number as i64)) } else { Err(Fault::Overflow) }
            }
            (Convert::Int, Val::Text(text)) => text.as_str().parse().map(Val::Int).map_err(|_| cannot(&value, "int")),
            (Convert::Int, Val::Time(ms)) => Ok(Val::Int(ms.div_euclid(1000))),
            (Convert::Double, Val::Int(number)) => Ok(Val::Double(*number as f64)),
            (Convert::Double, Val::Text(text)) => {
                text.as_str().parse().map(Val::Double).map_err(|_| cannot(&value, "double"))
            }
            (Convert::Text, Val::Int(number)) => Ok(Val::text(&number.to_string())),
            (Convert::Text, Val::Double(number)) => Ok(Val::text(&number.to_string())),
            (Convert::Text, Val::Bool(truth)) => Ok(Val::Text(Text::Lent(if *truth { "true" } else { "false" }))),
            (Convert::Text, Val::Time(ms)) => Ok(Val::text(model::Timestamp(*ms).rfc3339().as_str())),
            (Convert::Text, Val::Duration(ms)) => Ok(Val::text(&time::duration_text(*ms))),
            (Convert::Bool, Val::Text(text)) => match text.as_str() {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Val::Bool(true)),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Val::Bool(false)),
                _ => Err(cannot(&value, "bool")),
            },
            (Convert::Time, Val::Text(text)) => {
                let time = model::Timestamp::parse_rfc3339(text.as_str());
                time.map(|time| Val::Time(time.0)).ok_or_else(|| cannot(&value, "timestamp"))
            }
            (Convert::Time, Val::Int(seconds)) => {
                time::in_range(seconds.checked_mul(1000)).map(Val::Time).ok_or(Fault::Overflow)
            }
            (Convert::Duration, Val::Text(text)) => {
                time::parse_duration(text.as_str()).map(Val::Duration).ok_or_else(|| cannot(&value, "duration"))
            }
            (to, value) => Err(cannot(value, to.name())),
        }
    }

    fn sets(&mut self, sets: Sets, a: &Val<'a>, b: &Val<'a>) -> Result<Val<'a>, Fault> {
        let (items_a, items_b) = (list(a)?, list(b)?);
        let mut holds = |wanted: &Items<'a>, container: &Val<'a>, all: bool| {
            for item in wanted.iter() {
                self.spend(1)?;
                if self.is_in(&item, container)? != all {
                    return Ok(!all);
                }
            }
            Ok(all)
        };
        let result = match sets {
            Sets::Contains => holds(items_b, a, true),
            Sets::Intersects => holds(items_b, a, false),
            Sets::Equivalent => Ok(holds(items_b, a, true)? && holds(items_a, b, true)?),
        };
        result.map(Val::Bool)
    }
}

fn compare<'a>(order: Order, a: &Val<'_>, b: &Val<'_>) -> Result<Val<'a>, Fault> {
    let Some(ordering) = a.compare(b) else {
        let number = |v: &Val<'_>| matches!(v, Val::Int(_) | Val::Double(_));
        if number(a) && number(b) {
            // One of them is no number.
            return Ok(Val::Bool(false));
        }
        return Err(Fault::NoOperator { operator: order.sign(), left: a.type_name(), right: b.type_name() });
    };
    Ok(Val::Bool(match order {
        Order::Less => ordering == Ordering::Less,
        Order::LessEqual => ordering != Ordering::Greater,
        Order::Greater => ordering == Ordering::Greater,
        Order::GreaterEqual => ordering != Ordering::Less,
    }))
}

fn time_part<'a>(part: TimePart, offset_ms: i64, value: &Val<'_>) -> Result<Val<'a>, Fault> {
    match value {
        Val::Time(ms) => Ok(Val::Int(time::part_of_time(part, *ms, offset_ms))),
        Val::Duration(ms) if part.of_duration() => Ok(Val::Int(time::part_of_duration(part, *ms))),
        other => Err(wrong("timestamp", other)),
    }
}
