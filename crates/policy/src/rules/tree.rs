//! A condition after it has been checked: every name resolved, every literal read.

use std::fmt;

use ipnet::IpNet;

use super::data::Val;
use super::facts::{Field, Message};
use super::pattern::Pattern;

/// A place in a condition's text, both from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: u16,
    pub(crate) column: u16,
}

/// A static type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Type {
    Null,
    Bool,
    Int,
    Double,
    Text,
    Time,
    Duration,
    /// Only to be asked for an address.
    Network,
    /// Known when it is evaluated.
    Dyn,
    List(Box<Type>),
    Map(Box<Type>, Box<Type>),
    Message(&'static Message),
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Null => "null",
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Double => "double",
            Type::Text => "string",
            Type::Time => "timestamp",
            Type::Duration => "duration",
            Type::Network => "cidr",
            Type::Dyn => "dyn",
            Type::List(of) => return write!(f, "list({of})"),
            Type::Map(key, value) => return write!(f, "map({key}, {value})"),
            Type::Message(message) => return write!(f, "the object {}", message.name),
        })
    }
}

/// A node of the tree.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) op: Op,
}

/// What a node does.
#[derive(Debug)]
pub(crate) enum Op {
    Const(Val<'static>),
    /// A fact, by the number of its path.
    Slot(usize),
    /// Whether that fact is there.
    HasSlot(usize),
    /// The variable of a macro around this node, counted from the outermost.
    Local(usize),
    Field(Box<Node>, &'static Field),
    HasField(Box<Node>, &'static Field),
    Key(Box<Node>, Box<str>),
    HasKey(Box<Node>, Box<str>),
    Index(Box<[Node; 2]>),
    Not(Box<Node>),
    Negate(Box<Node>),
    /// `&&`; or, if the flag is set, `||`.
    Logic(bool, Box<[Node; 2]>),
    If(Box<[Node; 3]>),
    /// `==`; or, if the flag is not set, `!=`.
    Equal(bool, Box<[Node; 2]>),
    Order(Order, Box<[Node; 2]>),
    Arithmetic(Arithmetic, Box<[Node; 2]>),
    In(Box<[Node; 2]>),
    List(Box<[Node]>),
    Map(Box<[[Node; 2]]>),
    Fold(Fold, Box<FoldOf>),
    Size(Box<Node>),
    Search(Search, Box<[Node; 2]>),
    Matches(Box<Node>, Box<Pattern>),
    /// To upper case; or, if the flag is not set, to lower case.
    Case(bool, Box<Node>),
    Convert(Convert, Box<Node>),
    TimePart(TimePart, i64, Box<Node>),
    IsIp(Box<Node>),
    InNetworks(Box<Node>, Box<[IpNet]>),
    Sets(Sets, Box<[Node; 2]>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Order {
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Order {
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Order::Less => "<",
            Order::LessEqual => "<=",
            Order::Greater => ">",
            Order::GreaterEqual => ">=",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

impl Arithmetic {
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Arithmetic::Add => "+",
            Arithmetic::Subtract => "-",
            Arithmetic::Multiply => "*",
            Arithmetic::Divide => "/",
            Arithmetic::Modulo => "%",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fold {
    Exists,
    All,
    ExistsOne,
    Filter,
    Map,
}

/// What a macro goes over, and what it does with each element.
#[derive(Debug)]
pub(crate) struct FoldOf {
    pub(crate) range: Node,
    /// Which elements `map` takes.
    pub(crate) filter: Option<Node>,
    pub(crate) body: Node,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Search {
    Contains,
    StartsWith,
    EndsWith,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Convert {
    Int,
    Double,
    Text,
    Bool,
    Time,
    Duration,
}

impl Convert {
    pub(crate) const ALL: [Convert; 6] =
        [Convert::Int, Convert::Double, Convert::Text, Convert::Bool, Convert::Time, Convert::Duration];

    /// The function's name, which is the type's.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Convert::Int => "int",
            Convert::Double => "double",
            Convert::Text => "string",
            Convert::Bool => "bool",
            Convert::Time => "timestamp",
            Convert::Duration => "duration",
        }
    }

    pub(crate) fn result(self) -> Type {
        match self {
            Convert::Int => Type::Int,
            Convert::Double => Type::Double,
            Convert::Text => Type::Text,
            Convert::Bool => Type::Bool,
            Convert::Time => Type::Time,
            Convert::Duration => Type::Duration,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum TimePart {
    FullYear,
    /// From 0.
    Month,
    /// Of the month, from 1.
    Date,
    /// From 0.
    DayOfMonth,
    /// From 0, which is Sunday.
    DayOfWeek,
    /// From 0.
    DayOfYear,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

impl TimePart {
    pub(crate) const ALL: [(&'static str, TimePart); 10] = [
        ("getFullYear", TimePart::FullYear),
        ("getMonth", TimePart::Month),
        ("getDate", TimePart::Date),
        ("getDayOfMonth", TimePart::DayOfMonth),
        ("getDayOfWeek", TimePart::DayOfWeek),
        ("getDayOfYear", TimePart::DayOfYear),
        ("getHours", TimePart::Hours),
        ("getMinutes", TimePart::Minutes),
        ("getSeconds", TimePart::Seconds),
        ("getMilliseconds", TimePart::Milliseconds),
    ];

    /// Whether a duration has that part, too.
    pub(crate) fn of_duration(self) -> bool {
        matches!(self, TimePart::Hours | TimePart::Minutes | TimePart::Seconds | TimePart::Milliseconds)
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Sets {
    Contains,
    Intersects,
    Equivalent,
}
