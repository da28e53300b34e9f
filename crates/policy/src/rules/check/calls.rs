//! Calls: which functions there are, with which arguments, and what they make of them.

use ipnet::IpNet;

use super::{Checker, Typed, comparable, constant, node};
use crate::rules::data::Val;
use crate::rules::facts::ROOT;
use crate::rules::parse::{Expr, Written};
use crate::rules::pattern::Pattern;
use crate::rules::time;
use crate::rules::tree::{Convert, Fold, FoldOf, Op, Place, Search, Sets, TimePart, Type};

/// Functions that are called by themselves.
const FUNCTIONS: &[&str] = &[
    "has",
    "size",
    "int",
    "double",
    "string",
    "bool",
    "timestamp",
    "duration",
    "dyn",
    "matches",
    "isIP",
    "cidr",
    "inCIDRs",
    "sets.contains",
    "sets.intersects",
    "sets.equivalent",
];
/// Functions that are called on a value.
const METHODS: &[&str] = &[
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "lowerAscii",
    "upperAscii",
    "size",
    "containsIP",
    "exists",
    "all",
    "exists_one",
    "existsOne",
    "filter",
    "map",
    "getFullYear",
    "getMonth",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
];

/// The arguments of a call, if they are as many as the function takes; else the call has no type.
macro_rules! arguments {
    ($checker:expr, $place:expr, $name:expr, $given:expr) => {
        match $checker.arguments($place, $name, $given) {
            Some(arguments) => arguments,
            None => return constant($place, Val::Null, Type::Dyn),
        }
    };
}

impl Checker<'_> {
    /// Exactly so many arguments.
    fn arguments<'e, const N: usize>(&mut self, place: Place, name: &str, given: &'e [Expr]) -> Option<&'e [Expr; N]> {
        let arguments = given.try_into().ok();
        if arguments.is_none() {
            let plural = if N == 1 { "" } else { "s" };
            self.error(place, format!("{name} takes {N} argument{plural}, found {}", given.len()));
        }
        arguments
    }

    /// The literal text that an argument must be.
    fn literal<'e>(&mut self, argument: &'e Expr, what: &str) -> Option<&'e str> {
        match &argument.written {
            Written::Text(text) => Some(text),
            _ => {
                self.error(argument.start, format!("expected {what} as a literal string"));
                None
            }
        }
    }

    pub(super) fn function(&mut self, place: Place, name: &str, given: &[Expr]) -> Typed {
        match name {
            "has" => {
                let [argument] = arguments!(self, place, name, given);
                match &argument.written {
                    Written::Select(operand, field) => self.select(argument, operand, field, true),
                    _ => self.wrong(argument.start, "has() takes a field, such as event.user.email".to_owned()),
                }
            }
            "size" => {
                let [argument] = arguments!(self, place, name, given);
                self.size(place, argument)
            }
            "dyn" => {
                let [argument] = arguments!(self, place, name, given);
                (self.value(argument).0, Type::Dyn)
            }
            "matches" => {
                let [text, pattern] = arguments!(self, place, name, given);
                self.matches(place, text, pattern)
            }
            "isIP" => {
                let [argument] = arguments!(self, place, name, given);
                (node(place, Op::IsIp(Box::new(self.text(argument)))), Type::Bool)
            }
            "cidr" => {
                let [argument] = arguments!(self, place, name, given);
                match self.network(argument) {
                    Some(network) => (
                        node(
                            place,
                            Op::InNetworks(Box::new(constant(place, Val::Null, Type::Null).0), [network].into()),
                        ),
                        Type::Network,
                    ),
                    None => constant(place, Val::Null, Type::Dyn),
                }
            }
            "inCIDRs" => {
                let [ip, networks] = arguments!(self, place, name, given);
                let ip = Box::new(self.text(ip));
                let Written::List(networks) = &networks.written else {
                    return self.wrong(networks.start, "expected a literal list of networks".to_owned());
                };
                let networks: Vec<IpNet> = networks.iter().filter_map(|network| self.network(network)).collect();
                (node(place, Op::InNetworks(ip, networks.into())), Type::Bool)
            }
            "sets.contains" | "sets.intersects" | "sets.equivalent" => {
                let [a, b] = arguments!(self, place, name, given);
                let (a_node, a_of) = self.of(a, "list", |t| matches!(t, Type::List(_)));
                let (b_node, b_of) = self.of(b, "list", |t| matches!(t, Type::List(_)));
                if !comparable(&a_of, &b_of) {
                    self.expected(b, &a_of.to_string(), &b_of);
                }
                let sets = match name {
                    "sets.contains" => Sets::Contains,
                    "sets.intersects" => Sets::Intersects,
                    _ => Sets::Equivalent,
                };
                (node(place, Op::Sets(sets, Box::new([a_node, b_node]))), Type::Bool)
            }
            _ => match Convert::ALL.into_iter().find(|to| to.name() == name) {
                Some(to) => {
                    let [argument] = arguments!(self, place, name, given);
                    self.convert(place, to, argument)
                }
                None if METHODS.contains(&name) => {
                    self.wrong(place, format!("{name} is called on a value: value.{name}(...)"))
                }
                None => self.unknown(place, "function", name, FUNCTIONS.iter().copied()),
            },
        }
    }

    fn size(&mut self, place: Place, argument: &Expr) -> Typed {
        let sized = |t: &Type| matches!(t, Type::Text | Type::List(_) | Type::Map(..));
        let argument = self.of(argument, "string, list or map", sized).0;
        (node(place, Op::Size(Box::new(argument))), Type::Int)
    }

    fn network(&mut self, argument: &Expr) -> Option<IpNet> {
        let text = self.literal(argument, "a network")?;
        let network = model::parse_network(text);
        if network.is_none() {
            self.error(
                argument.start,
                format!("{text:?} is no network; expected an address or CIDR notation with a length of 1 or more"),
            );
        }
        network
    }

    fn convert(&mut self, place: Place, to: Convert, argument: &Expr) -> Typed {
        // Times that are written out are read at once.
        if let Written::Text(text) = &argument.written {
            match to {
                Convert::Time => {
                    return match model::Timestamp::parse_rfc3339(text) {
                        Some(time) => constant(place, Val::Time(time.0), Type::Time),
                        None => self.wrong(
                            argument.start,
                            format!("{text:?} is no timestamp; expected RFC 3339 with offset, from 2000 up to 2100"),
                        ),
                    };
                }
                Convert::Duration => {
                    return match time::parse_duration(text) {
                        Some(ms) => constant(place, Val::Duration(ms), Type::Duration),
                        None => self.wrong(
                            argument.start,
                            format!(
                                "{text:?} is no duration; expected numbers with the units h, m, s and ms, such as 1h30m"
                            ),
                        ),
                    };
                }
                _ => {}
            }
        }
        let (expected, test): (&str, fn(&Type) -> bool) = match to {
            Convert::Int => ("int, double, string or timestamp", |t| {
                matches!(t, Type::Int | Type::Double | Type::Text | Type::Time)
            }),
            Convert::Double => ("double, int or string", |t| matches!(t, Type::Double | Type::Int | Type::Text)),
            Convert::Text => ("string, int, double, bool, timestamp or duration", |t| {
                matches!(t, Type::Text | Type::Int | Type::Double | Type::Bool | Type::Time | Type::Duration)
            }),
            Convert::Bool => ("bool or string", |t| matches!(t, Type::Bool | Type::Text)),
            Convert::Time => ("timestamp, string or int", |t| matches!(t, Type::Time | Type::Text | Type::Int)),
            Convert::Duration => ("duration or string", |t| matches!(t, Type::Duration | Type::Text)),
        };
        let argument = self.of(argument, expected, test).0;
        (node(place, Op::Convert(to, Box::new(argument))), to.result())
    }

    pub(super) fn method(&mut self, place: Place, target: &Expr, name: &str, given: &[Expr]) -> Typed {
        let search = match name {
            "contains" => Some(Search::Contains),
            "startsWith" => Some(Search::StartsWith),
            "endsWith" => Some(Search::EndsWith),
            _ => None,
        };
        if let Some(search) = search {
            let [wanted] = arguments!(self, place, name, given);
            let operands = [self.text(target), self.text(wanted)];
            return (node(place, Op::Search(search, Box::new(operands))), Type::Bool);
        }
        if let Some((_, part)) = TimePart::ALL.into_iter().find(|(known, _)| *known == name) {
            return self.time_part(place, part, target, given);
        }
        match name {
            "matches" => {
                let [pattern] = arguments!(self, place, name, given);
                self.matches(place, target, pattern)
            }
            "lowerAscii" | "upperAscii" => {
                let [] = arguments!(self, place, name, given);
                (node(place, Op::Case(name == "upperAscii", Box::new(self.text(target)))), Type::Text)
            }
            "size" => {
                let [] = arguments!(self, place, name, given);
                self.size(place, target)
            }
            "containsIP" => {
                let [ip] = arguments!(self, place, name, given);
                let (network, of) = self.check(target);
                let ip = Box::new(self.text(ip));
                match network.op {
                    Op::InNetworks(_, networks) if of == Type::Network => {
                        (node(place, Op::InNetworks(ip, networks)), Type::Bool)
                    }
                    // What is wrong with the network has been told.
                    _ if of == Type::Dyn && !self.errors.is_empty() => constant(place, Val::Null, Type::Dyn),
                    _ => self.wrong(target.start, format!("expected cidr('...'), found {of}")),
                }
            }
            "exists" | "all" | "exists_one" | "existsOne" | "filter" | "map" => self.fold(place, target, name, given),
            _ if FUNCTIONS.contains(&name) => {
                self.wrong(place, format!("{name} is not called on a value: {name}(...)"))
            }
            _ => self.unknown(place, "function", name, METHODS.iter().copied()),
        }
    }

    fn matches(&mut self, place: Place, text: &Expr, pattern: &Expr) -> Typed {
        let text = Box::new(self.text(text));
        let failed = constant(place, Val::Null, Type::Bool);
        let Some(written) = self.literal(pattern, "a pattern") else { return failed };
        match Pattern::new(written, &mut self.shared.room) {
            Ok(compiled) => (node(place, Op::Matches(text, Box::new(compiled))), Type::Bool),
            Err(problem) => {
                self.error(pattern.start, problem);
                failed
            }
        }
    }

    fn time_part(&mut self, place: Place, part: TimePart, target: &Expr, given: &[Expr]) -> Typed {
        let offset_ms = match given {
            [] => 0,
            [offset] => {
                match self.literal(offset, "a fixed offset from UTC").map(|text| (text, time::parse_offset(text))) {
                    Some((_, Some(offset_ms))) => offset_ms,
                    Some((text, None)) => {
                        self.error(offset.start, format!("{text:?} is no fixed offset from UTC, such as +02:00"));
                        0
                    }
                    None => 0,
                }
            }
            more => {
                self.error(place, format!("expected at most 1 argument, found {}", more.len()));
                0
            }
        };
        let (expected, duration) =
            if part.of_duration() && given.is_empty() { ("timestamp or duration", true) } else { ("timestamp", false) };
        let target = self.of(target, expected, |t| *t == Type::Time || (duration && *t == Type::Duration)).0;
        (node(place, Op::TimePart(part, offset_ms, Box::new(target))), Type::Int)
    }

    fn fold(&mut self, place: Place, target: &Expr, name: &str, given: &[Expr]) -> Typed {
        let (variable, filter, body) = match given {
            [variable, body] => (variable, None, body),
            [variable, filter, body] if name == "map" => (variable, Some(filter), body),
            _ => {
                return self.wrong(
                    place,
                    format!("{name} takes a variable and an expression, found {} arguments", given.len()),
                );
            }
        };
        let (range, of) = self.of(target, "list or map", |t| matches!(t, Type::List(_) | Type::Map(..)));
        let element = match of {
            Type::List(element) | Type::Map(element, _) => *element,
            _ => Type::Dyn,
        };
        let Written::Name(variable_name) = &variable.written else {
            return self.wrong(variable.start, "expected the name of a variable".to_owned());
        };
        if ROOT.field(variable_name).is_some() || variable_name == "sets" || self.local(variable_name).is_some() {
            self.error(variable.start, format!("the name {variable_name:?} is taken"));
        }
        self.scope.push((variable_name.clone(), element.clone()));
        let filter = filter.map(|filter| self.bool(filter));
        let (fold, body, of) = match name {
            "map" => {
                let (body, of) = self.value(body);
                (Fold::Map, body, Type::List(Box::new(of)))
            }
            "filter" => (Fold::Filter, self.bool(body), Type::List(Box::new(element))),
            "exists" => (Fold::Exists, self.bool(body), Type::Bool),
            "all" => (Fold::All, self.bool(body), Type::Bool),
            _ => (Fold::ExistsOne, self.bool(body), Type::Bool),
        };
        self.scope.pop();
        (node(place, Op::Fold(fold, Box::new(FoldOf { range, filter, body }))), of)
    }
}
