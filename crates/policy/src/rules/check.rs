//! The type checker: turns a condition as it is written into a tree to evaluate, or says what is wrong
//! with it, all of it at once.

use ipnet::IpNet;

use super::ConditionError;
use super::data::{Items, Pairs, Val};
use super::facts::{Field, Kind, ROOT, names};
use super::parse::{Expr, Written};
use super::pattern::{Pattern, PatternRoom};
use super::time;
use super::tree::{Arithmetic, Convert, Fold, FoldOf, Node, Op, Order, Place, Search, Sets, TimePart, Type};

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

/// The paths to facts that the conditions of a set look at.
pub(crate) type Paths = Vec<Box<[&'static Field]>>;

/// What the conditions of a set have in common.
pub(crate) struct Shared {
    pub(crate) paths: Paths,
    pub(crate) room: PatternRoom,
}

/// Checks a condition, whose facts it looks up by the numbers of their paths.
pub(crate) fn check(condition: &Expr, shared: &mut Shared) -> Result<Node, Vec<ConditionError>> {
    let mut checker = Checker { shared, scope: Vec::new(), errors: Vec::new() };
    let (node, found) = checker.check(condition);
    if !matches!(found, Type::Bool | Type::Dyn) {
        checker.expected(condition, "bool", &found);
    }
    if checker.errors.is_empty() { Ok(node) } else { Err(checker.errors) }
}

struct Checker<'p> {
    shared: &'p mut Shared,
    /// The variables of the macros around, outermost first.
    scope: Vec<(String, Type)>,
    errors: Vec<ConditionError>,
}

/// A part of a condition with its type; one that is wrong counts as `dyn`, so that it is told once.
type Typed = (Node, Type);

fn node(place: Place, op: Op) -> Node {
    Node { place, op }
}

fn constant(place: Place, value: Val<'static>, of: Type) -> Typed {
    (node(place, Op::Const(value)), of)
}

/// Whether values of both types can be equal.
fn comparable(a: &Type, b: &Type) -> bool {
    match (a, b) {
        (Type::Message(_), _) | (_, Type::Message(_)) => false,
        (Type::Dyn, _) | (_, Type::Dyn) => true,
        (Type::Int | Type::Double, Type::Int | Type::Double) => true,
        (Type::List(a), Type::List(b)) => comparable(a, b),
        (Type::Map(key, value), Type::Map(other_key, other_value)) => {
            comparable(key, other_key) && comparable(value, other_value)
        }
        (a, b) => a == b,
    }
}

/// The type of what may be of both types.
fn joined(a: &Type, b: &Type) -> Option<Type> {
    match (a, b) {
        (a, b) if a == b => Some(a.clone()),
        (Type::Message(_), _) | (_, Type::Message(_)) => None,
        (Type::Dyn, _) | (_, Type::Dyn) => Some(Type::Dyn),
        (Type::List(a), Type::List(b)) => Some(Type::List(Box::new(joined(a, b)?))),
        (Type::Map(key, value), Type::Map(other_key, other_value)) => {
            Some(Type::Map(Box::new(joined(key, other_key)?), Box::new(joined(value, other_value)?)))
        }
        _ => None,
    }
}

fn of_kind(kind: Kind) -> Type {
    match kind {
        Kind::Text | Kind::Trimmed | Kind::Address | Kind::Word(_) => Type::Text,
        Kind::Bool => Type::Bool,
        Kind::Int => Type::Int,
        Kind::Double => Type::Double,
        Kind::Time => Type::Time,
        Kind::Texts => Type::List(Box::new(Type::Text)),
        Kind::Messages(message) => Type::List(Box::new(Type::Message(message))),
        Kind::Message(message) => Type::Message(message),
        Kind::Object | Kind::Any => Type::Dyn,
    }
}

/// The known name that is most like this one, if any is like it at all.
fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let similarity = |candidate: &str| strsim::jaro_winkler(&name.to_lowercase(), &candidate.to_lowercase());
    known
        .map(|candidate| (similarity(candidate), candidate))
        .filter(|(similarity, _)| *similarity > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

impl Checker<'_> {
    fn error(&mut self, place: Place, problem: String) {
        self.errors.push(ConditionError { line: place.line.into(), column: place.column.into(), problem });
    }

    /// Says what is wrong and goes on as if it were not.
    fn wrong(&mut self, place: Place, problem: String) -> Typed {
        self.error(place, problem);
        constant(place, Val::Null, Type::Dyn)
    }

    fn expected(&mut self, found_at: &Expr, expected: &str, found: &Type) {
        let hint = match found {
            Type::Message(message) => {
                format!("; its fields are {}", names(message).collect::<Vec<_>>().join(", "))
            }
            _ => String::new(),
        };
        self.error(found_at.start, format!("expected {expected}, found {found}{hint}"));
    }

    fn unknown<'k>(&mut self, place: Place, what: &str, name: &str, known: impl Iterator<Item = &'k str>) -> Typed {
        let known: Vec<&str> = known.collect();
        let hint = match nearest(name, known.iter().copied()) {
            Some(nearest) => format!("the nearest known one is {nearest:?}"),
            None => format!("known are {}", known.join(", ")),
        };
        self.wrong(place, format!("unknown {what} {name:?}: {hint}"))
    }

    /// A part whose value is used: an object of known fields has none, nor has a network.
    fn value(&mut self, expr: &Expr) -> Typed {
        let (node, found) = self.check(expr);
        if matches!(found, Type::Message(_) | Type::Network) {
            self.expected(expr, "a value", &found);
            return (node, Type::Dyn);
        }
        (node, found)
    }

    /// A part of one of the types that a test lets pass.
    fn of(&mut self, expr: &Expr, expected: &str, test: impl Fn(&Type) -> bool) -> Typed {
        let (node, found) = self.check(expr);
        if found != Type::Dyn && !test(&found) {
            self.expected(expr, expected, &found);
            return (node, Type::Dyn);
        }
        (node, found)
    }

    fn bool(&mut self, expr: &Expr) -> Node {
        self.of(expr, "bool", |found| *found == Type::Bool).0
    }

    fn text(&mut self, expr: &Expr) -> Node {
        self.of(expr, "string", |found| *found == Type::Text).0
    }

    fn check(&mut self, expr: &Expr) -> Typed {
        let place = expr.place;
        match &expr.written {
            Written::Null => constant(place, Val::Null, Type::Null),
            Written::Bool(value) => constant(place, Val::Bool(*value), Type::Bool),
            Written::Int(value) => constant(place, Val::Int(*value), Type::Int),
            Written::Double(value) => constant(place, Val::Double(*value), Type::Double),
            Written::Text(text) => constant(place, Val::text(text), Type::Text),
            Written::Name(name) => self.name(place, name),
            Written::Select(operand, field) => self.select(expr, operand, field, false),
            Written::Index(operands) => self.index(operands, place),
            Written::List(elements) => self.list(place, elements),
            Written::Map(entries) => self.map(place, entries),
            Written::Not(operand) => (node(place, Op::Not(Box::new(self.bool(operand)))), Type::Bool),
            Written::Negate(operand) => {
                let (operand, of) = self.of(operand, "int or double", |t| matches!(t, Type::Int | Type::Double));
                (node(place, Op::Negate(Box::new(operand))), of)
            }
            Written::Logic(or, operands) => {
                let operands = [self.bool(&operands[0]), self.bool(&operands[1])];
                (node(place, Op::Logic(*or, Box::new(operands))), Type::Bool)
            }
            Written::If(parts) => self.conditional(place, parts),
            Written::Equal(wanted, operands) => {
                let operands = self.comparison(operands);
                (node(place, Op::Equal(*wanted, Box::new(operands))), Type::Bool)
            }
            Written::Order(order, operands) => self.order(place, *order, operands),
            Written::Arithmetic(operator, operands) => self.arithmetic(place, *operator, operands),
            Written::In(operands) => self.is_in(place, operands),
            Written::Call { target: None, name, arguments } => self.function(place, name, arguments),
            Written::Call { target: Some(target), name, arguments } => match &target.written {
                Written::Name(namespace) if namespace == "sets" && self.local(namespace).is_none() => {
                    self.function(place, &format!("sets.{name}"), arguments)
                }
                _ => self.method(place, target, name, arguments),
            },
        }
    }

    fn local(&self, name: &str) -> Option<usize> {
        self.scope.iter().rposition(|(known, _)| known == name)
    }

    fn name(&mut self, place: Place, name: &str) -> Typed {
        if let Some(number) = self.local(name)
            && let Some((_, of)) = self.scope.get(number)
        {
            return (node(place, Op::Local(number)), of.clone());
        }
        let Some(field) = ROOT.field(name) else {
            let locals: Vec<String> = self.scope.iter().map(|(name, _)| name.clone()).collect();
            let known: Vec<&str> =
                locals.iter().map(String::as_str).chain(ROOT.fields.iter().map(|field| field.name)).collect();
            return self.unknown(place, "name", name, known.into_iter());
        };
        (node(place, Op::Slot(self.slot(&[field]))), of_kind(field.kind))
    }

    /// The number of a path.
    fn slot(&mut self, path: &[&'static Field]) -> usize {
        if let Some(number) = self.shared.paths.iter().position(|known| **known == *path) {
            return number;
        }
        self.shared.paths.push(path.into());
        self.shared.paths.len() - 1
    }

    /// The path of fields that an expression is, if it is one.
    fn path(&self, expr: &Expr) -> Option<Vec<&'static Field>> {
        match &expr.written {
            Written::Name(name) if self.local(name).is_none() => Some(vec![ROOT.field(name)?]),
            Written::Select(operand, name) => {
                let mut path = self.path(operand)?;
                let Kind::Message(message) = path.last()?.kind else { return None };
                path.push(message.field(name)?);
                Some(path)
            }
            _ => None,
        }
    }

    /// A field of something, or whether it is there.
    fn select(&mut self, expr: &Expr, operand: &Expr, name: &str, has: bool) -> Typed {
        let place = expr.place;
        if let Some(path) = self.path(expr) {
            let of = path.last().map_or(Type::Dyn, |field| of_kind(field.kind));
            // An object on the way to a field is none of the facts that are looked up.
            if matches!(of, Type::Message(_)) && !has {
                return (node(place, Op::Const(Val::Null)), of);
            }
            let slot = self.slot(&path);
            return if has { (node(place, Op::HasSlot(slot)), Type::Bool) } else { (node(place, Op::Slot(slot)), of) };
        }
        let (operand_node, of) = self.check(operand);
        let operand_node = Box::new(operand_node);
        match of {
            Type::Message(message) => {
                let Some(field) = message.field(name) else {
                    return self.unknown(place, &format!("field of {}", message.name), name, names(message));
                };
                let op = if has { Op::HasField(operand_node, field) } else { Op::Field(operand_node, field) };
                (node(place, op), if has { Type::Bool } else { of_kind(field.kind) })
            }
            Type::Dyn | Type::Map(..) => {
                let value = match of {
                    Type::Map(_, value) => *value,
                    _ => Type::Dyn,
                };
                let op = if has { Op::HasKey(operand_node, name.into()) } else { Op::Key(operand_node, name.into()) };
                (node(place, op), if has { Type::Bool } else { value })
            }
            found => self.wrong(place, format!("{found} has no field {name:?}")),
        }
    }

    fn index(&mut self, operands: &[Expr; 2], place: Place) -> Typed {
        let [container, index] = operands;
        let (container_node, of) = self.of(container, "list or map", |t| matches!(t, Type::List(_) | Type::Map(..)));
        let (index_node, index_of) = self.value(index);
        let element = match of {
            Type::List(element) => {
                if !matches!(index_of, Type::Int | Type::Dyn) {
                    self.expected(index, "int", &index_of);
                }
                *element
            }
            Type::Map(key, value) => {
                if !comparable(&key, &index_of) {
                    self.expected(index, &key.to_string(), &index_of);
                }
                *value
            }
            _ => Type::Dyn,
        };
        (node(place, Op::Index(Box::new([container_node, index_node]))), element)
    }

    fn list(&mut self, place: Place, elements: &[Expr]) -> Typed {
        let mut nodes = Vec::with_capacity(elements.len());
        let mut of: Option<Type> = None;
        for element in elements {
            let (node, element) = self.value(element);
            nodes.push(node);
            of = Some(match of {
                None => element,
                Some(of) => joined(&of, &element).unwrap_or(Type::Dyn),
            });
        }
        let of = Type::List(Box::new(of.unwrap_or(Type::Dyn)));
        match constants(&nodes) {
            Some(values) => constant(place, Val::List(Items::Owned(values.into())), of),
            None => (node(place, Op::List(nodes.into())), of),
        }
    }

    fn map(&mut self, place: Place, entries: &[[Expr; 2]]) -> Typed {
        let mut nodes = Vec::with_capacity(entries.len());
        let mut of: Option<(Type, Type)> = None;
        let mut known: Vec<(Val<'static>, Val<'static>)> = Vec::new();
        for [key, value] in entries {
            let (key_node, key_of) =
                self.of(key, "string, int or bool", |t| matches!(t, Type::Text | Type::Int | Type::Bool));
            let (value_node, value_of) = self.value(value);
            of = Some(match of {
                None => (key_of, value_of),
                Some((keys, values)) => {
                    (joined(&keys, &key_of).unwrap_or(Type::Dyn), joined(&values, &value_of).unwrap_or(Type::Dyn))
                }
            });
            if let Op::Const(key_value) = &key_node.op {
                if known.iter().any(|(other, _)| other.same(key_value)) {
                    self.error(key.start, "a key that is there already".to_owned());
                }
                let value = if let Op::Const(value) = &value_node.op { value.clone() } else { Val::Null };
                known.push((key_value.clone(), value));
            }
            nodes.push([key_node, value_node]);
        }
        let (keys, values) = of.unwrap_or((Type::Dyn, Type::Dyn));
        let of = Type::Map(Box::new(keys), Box::new(values));
        if nodes.iter().flatten().all(|node| matches!(node.op, Op::Const(_))) {
            return constant(place, Val::Map(Pairs::Owned(known.into())), of);
        }
        (node(place, Op::Map(nodes.into())), of)
    }

    fn conditional(&mut self, place: Place, parts: &[Expr; 3]) -> Typed {
        let [condition, yes, no] = parts;
        let condition = self.bool(condition);
        let (yes, yes_of) = self.value(yes);
        let (no_node, no_of) = self.value(no);
        let of = joined(&yes_of, &no_of).unwrap_or_else(|| {
            self.expected(no, &yes_of.to_string(), &no_of);
            Type::Dyn
        });
        (node(place, Op::If(Box::new([condition, yes, no_node]))), of)
    }

    /// Two operands that can be equal.
    fn comparison(&mut self, operands: &[Expr; 2]) -> [Node; 2] {
        let [a, b] = operands;
        let (a_node, a_of) = self.value(a);
        let (b_node, b_of) = self.value(b);
        if !comparable(&a_of, &b_of) {
            if a_of == Type::Null || b_of == Type::Null {
                let (place, of) = if a_of == Type::Null { (b.start, b_of) } else { (a.start, a_of) };
                self.error(place, format!("{of} is never null; has() tells whether a field is there"));
            } else {
                self.expected(b, &a_of.to_string(), &b_of);
            }
        }
        [a_node, b_node]
    }

    fn order(&mut self, place: Place, order: Order, operands: &[Expr; 2]) -> Typed {
        let [a, b] = operands;
        let ordered =
            |t: &Type| matches!(t, Type::Bool | Type::Int | Type::Double | Type::Text | Type::Time | Type::Duration);
        const EXPECTED: &str = "int, double, string, timestamp, duration or bool";
        let (a_node, a_of) = self.of(a, EXPECTED, ordered);
        let (b_node, b_of) = self.of(b, EXPECTED, ordered);
        if !comparable(&a_of, &b_of) {
            self.expected(b, &a_of.to_string(), &b_of);
        }
        (node(place, Op::Order(order, Box::new([a_node, b_node]))), Type::Bool)
    }

    fn arithmetic(&mut self, place: Place, operator: Arithmetic, operands: &[Expr; 2]) -> Typed {
        let [a, b] = operands;
        let (a_node, a_of) = self.value(a);
        let (b_node, b_of) = self.value(b);
        let of = match result_of(operator, &a_of, &b_of) {
            Some(of) => of,
            None => {
                let hint = match (&a_of, &b_of) {
                    (Type::Int, Type::Double) | (Type::Double, Type::Int) => "; int() and double() convert",
                    _ => "",
                };
                let sign = operator.sign();
                self.error(place, format!("{sign:?} does not take {a_of} and {b_of}{hint}"));
                Type::Dyn
            }
        };
        (node(place, Op::Arithmetic(operator, Box::new([a_node, b_node]))), of)
    }

    fn is_in(&mut self, place: Place, operands: &[Expr; 2]) -> Typed {
        let [element, container] = operands;
        let (element_node, element_of) = self.value(element);
        let (container_node, of) = self.of(container, "list or map", |t| matches!(t, Type::List(_) | Type::Map(..)));
        if let Type::List(wanted) | Type::Map(wanted, _) = &of
            && !comparable(wanted, &element_of)
        {
            self.expected(element, &wanted.to_string(), &element_of);
        }
        (node(place, Op::In(Box::new([element_node, container_node]))), Type::Bool)
    }

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

    fn function(&mut self, place: Place, name: &str, given: &[Expr]) -> Typed {
        let failed = constant(place, Val::Null, Type::Dyn);
        macro_rules! arguments {
            () => {
                match self.arguments(place, name, given) {
                    Some(arguments) => arguments,
                    None => return failed,
                }
            };
        }
        match name {
            "has" => {
                let [argument] = arguments!();
                match &argument.written {
                    Written::Select(operand, field) => self.select(argument, operand, field, true),
                    _ => self.wrong(argument.start, "has() takes a field, such as event.user.email".to_owned()),
                }
            }
            "size" => {
                let [argument] = arguments!();
                self.size(place, argument)
            }
            "dyn" => {
                let [argument] = arguments!();
                (self.value(argument).0, Type::Dyn)
            }
            "matches" => {
                let [text, pattern] = arguments!();
                self.matches(place, text, pattern)
            }
            "isIP" => {
                let [argument] = arguments!();
                (node(place, Op::IsIp(Box::new(self.text(argument)))), Type::Bool)
            }
            "cidr" => {
                let [argument] = arguments!();
                match self.network(argument) {
                    Some(network) => (
                        node(
                            place,
                            Op::InNetworks(Box::new(constant(place, Val::Null, Type::Null).0), [network].into()),
                        ),
                        Type::Network,
                    ),
                    None => failed,
                }
            }
            "inCIDRs" => {
                let [ip, networks] = arguments!();
                let ip = Box::new(self.text(ip));
                let Written::List(networks) = &networks.written else {
                    return self.wrong(networks.start, "expected a literal list of networks".to_owned());
                };
                let networks: Vec<IpNet> = networks.iter().filter_map(|network| self.network(network)).collect();
                (node(place, Op::InNetworks(ip, networks.into())), Type::Bool)
            }
            "sets.contains" | "sets.intersects" | "sets.equivalent" => {
                let [a, b] = arguments!();
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
                    let [argument] = arguments!();
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

    fn method(&mut self, place: Place, target: &Expr, name: &str, given: &[Expr]) -> Typed {
        let failed = constant(place, Val::Null, Type::Dyn);
        macro_rules! arguments {
            () => {
                match self.arguments(place, name, given) {
                    Some(arguments) => arguments,
                    None => return failed,
                }
            };
        }
        let search = match name {
            "contains" => Some(Search::Contains),
            "startsWith" => Some(Search::StartsWith),
            "endsWith" => Some(Search::EndsWith),
            _ => None,
        };
        if let Some(search) = search {
            let [wanted] = arguments!();
            let operands = [self.text(target), self.text(wanted)];
            return (node(place, Op::Search(search, Box::new(operands))), Type::Bool);
        }
        if let Some((_, part)) = TimePart::ALL.into_iter().find(|(known, _)| *known == name) {
            return self.time_part(place, part, target, given);
        }
        match name {
            "matches" => {
                let [pattern] = arguments!();
                self.matches(place, target, pattern)
            }
            "lowerAscii" | "upperAscii" => {
                let [] = arguments!();
                (node(place, Op::Case(name == "upperAscii", Box::new(self.text(target)))), Type::Text)
            }
            "size" => {
                let [] = arguments!();
                self.size(place, target)
            }
            "containsIP" => {
                let [ip] = arguments!();
                let (network, of) = self.check(target);
                let ip = Box::new(self.text(ip));
                match network.op {
                    Op::InNetworks(_, networks) if of == Type::Network => {
                        (node(place, Op::InNetworks(ip, networks)), Type::Bool)
                    }
                    // What is wrong with the network has been told.
                    _ if of == Type::Dyn && !self.errors.is_empty() => failed,
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

/// The values of nodes that are all constants.
fn constants(nodes: &[Node]) -> Option<Vec<Val<'static>>> {
    nodes
        .iter()
        .map(|node| match &node.op {
            Op::Const(value) => Some(value.clone()),
            _ => None,
        })
        .collect()
}

/// What an operator makes of two types, if it takes them.
fn result_of(operator: Arithmetic, a: &Type, b: &Type) -> Option<Type> {
    use Arithmetic::{Add, Divide, Modulo, Multiply, Subtract};
    match (operator, a, b) {
        (_, Type::Dyn, _) | (_, _, Type::Dyn) => Some(Type::Dyn),
        (_, Type::Int, Type::Int) => Some(Type::Int),
        (Add | Subtract | Multiply | Divide, Type::Double, Type::Double) => Some(Type::Double),
        (Add, Type::Text, Type::Text) => Some(Type::Text),
        (Add, Type::List(a), Type::List(b)) => Some(Type::List(Box::new(joined(a, b).unwrap_or(Type::Dyn)))),
        (Add, Type::Time, Type::Duration) | (Add, Type::Duration, Type::Time) => Some(Type::Time),
        (Subtract, Type::Time, Type::Duration) => Some(Type::Time),
        (Subtract, Type::Time, Type::Time) => Some(Type::Duration),
        (Add | Subtract, Type::Duration, Type::Duration) => Some(Type::Duration),
        (Modulo | Add | Subtract | Multiply | Divide, _, _) => None,
    }
}
