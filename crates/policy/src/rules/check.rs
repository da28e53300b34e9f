//! The type checker: turns a condition as it is written into a tree to evaluate, or says what is wrong
//! with it, all of it at once.

mod calls;

use assess::settings::nearest;

use super::ConditionError;
use super::data::{Items, Pairs, Val};
use super::facts::{Field, Kind, ROOT, names};
use super::parse::{Expr, Written};
use super::pattern::PatternRoom;
use super::tree::{Arithmetic, Node, Op, Order, Place, Type};

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
