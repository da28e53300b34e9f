//! Values while a condition is evaluated: mostly borrowed, from the login's facts or from the condition.

use std::cmp::Ordering;
use std::sync::Arc;

use super::facts::Source;
use crate::value::{self, Value};

/// A value.
#[derive(Debug, Clone)]
pub(crate) enum Val<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Text<'a>),
    /// Milliseconds since the epoch.
    Time(i64),
    /// Milliseconds.
    Duration(i64),
    List(Items<'a>),
    Map(Pairs<'a>),
    Message(Source<'a>),
}

/// A text.
#[derive(Debug, Clone)]
pub(crate) enum Text<'a> {
    Lent(&'a str),
    Owned(Arc<str>),
}

/// The elements of a list.
#[derive(Debug, Clone)]
pub(crate) enum Items<'a> {
    Vals(&'a [Val<'a>]),
    Json(&'a [Value<'a>]),
    /// Objects of known fields.
    Messages(&'a [Value<'a>]),
    Owned(Arc<[Val<'a>]>),
}

/// The entries of a map.
#[derive(Debug, Clone)]
pub(crate) enum Pairs<'a> {
    Vals(&'a [(Val<'a>, Val<'a>)]),
    Json(&'a value::Map<'a>),
    Owned(Arc<[(Val<'a>, Val<'a>)]>),
}

impl Text<'_> {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Text::Lent(text) => text,
            Text::Owned(text) => text,
        }
    }
}

impl<'a> Items<'a> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Items::Vals(values) => values.len(),
            Items::Json(values) | Items::Messages(values) => values.len(),
            Items::Owned(values) => values.len(),
        }
    }

    pub(crate) fn get(&self, index: usize) -> Option<Val<'a>> {
        match self {
            Items::Vals(values) => values.get(index).map(Val::lend),
            Items::Json(values) => values.get(index).map(Val::from),
            Items::Messages(values) => values.get(index).map(|value| Val::Message(Source::Json(Some(value)))),
            Items::Owned(values) => values.get(index).cloned(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Val<'a>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl<'a> Pairs<'a> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Pairs::Vals(pairs) => pairs.len(),
            Pairs::Json(map) => map.entries().len(),
            Pairs::Owned(pairs) => pairs.len(),
        }
    }

    /// The entry at a place.
    pub(crate) fn at(&self, index: usize) -> Option<(Val<'a>, Val<'a>)> {
        match self {
            Pairs::Vals(pairs) => pairs.get(index).map(|(key, value)| (key.lend(), value.lend())),
            Pairs::Json(map) => {
                map.entries().get(index).map(|(key, value)| (Val::Text(Text::Lent(key)), Val::from(value)))
            }
            Pairs::Owned(pairs) => pairs.get(index).cloned(),
        }
    }

    pub(crate) fn get(&self, key: &Val<'_>) -> Option<Val<'a>> {
        match (self, key) {
            (Pairs::Json(map), Val::Text(key)) => map.get(key.as_str()).map(Val::from),
            (Pairs::Json(_), _) => None,
            (Pairs::Vals(pairs), key) => pairs.iter().find(|(k, _)| k.same(key)).map(|(_, value)| value.lend()),
            (Pairs::Owned(pairs), key) => pairs.iter().find(|(k, _)| k.same(key)).map(|(_, value)| value.clone()),
        }
    }

    /// The value under a name.
    pub(crate) fn named(&self, name: &str) -> Option<Val<'a>> {
        self.get(&Val::Text(Text::Lent(name)))
    }
}

impl<'a> From<&'a Value<'a>> for Val<'a> {
    fn from(value: &'a Value<'a>) -> Self {
        match value {
            Value::Null => Val::Null,
            Value::Bool(value) => Val::Bool(*value),
            Value::Int(value) => Val::Int(*value),
            Value::Double(value) => Val::Double(*value),
            Value::String(text) => Val::Text(Text::Lent(text)),
            Value::List(values) => Val::List(Items::Json(values)),
            Value::Map(map) => Val::Map(Pairs::Json(map)),
        }
    }
}

impl<'a> Val<'a> {
    pub(crate) fn text(text: &str) -> Self {
        Val::Text(Text::Owned(Arc::from(text)))
    }

    /// A value that belongs to nobody else.
    pub(crate) fn from_owned(value: Value<'static>) -> Self {
        match value {
            Value::Null => Val::Null,
            Value::Bool(value) => Val::Bool(value),
            Value::Int(value) => Val::Int(value),
            Value::Double(value) => Val::Double(value),
            Value::String(text) => Val::text(&text),
            Value::List(values) => Val::List(Items::Owned(values.into_iter().map(Val::from_owned).collect())),
            Value::Map(map) => {
                let entries = map.into_entries().into_iter();
                Val::Map(Pairs::Owned(entries.map(|(key, value)| (Val::text(&key), Val::from_owned(value))).collect()))
            }
        }
    }

    /// The same value, borrowed where it can be.
    #[inline]
    pub(crate) fn lend(&'a self) -> Val<'a> {
        match self {
            Val::Text(text) => Val::Text(Text::Lent(text.as_str())),
            Val::List(Items::Owned(values)) => Val::List(Items::Vals(values)),
            Val::Map(Pairs::Owned(pairs)) => Val::Map(Pairs::Vals(pairs)),
            other => other.clone(),
        }
    }

    /// The type's name, for errors.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Val::Null => "null",
            Val::Bool(_) => "bool",
            Val::Int(_) => "int",
            Val::Double(_) => "double",
            Val::Text(_) => "string",
            Val::Time(_) => "timestamp",
            Val::Duration(_) => "duration",
            Val::List(_) => "list",
            Val::Map(_) => "map",
            Val::Message(_) => "message",
        }
    }

    /// Whether two values that hold no others are the same; those that do hold others are not.
    #[inline]
    pub(crate) fn same(&self, other: &Val<'_>) -> bool {
        match (self, other) {
            (Val::Text(a), Val::Text(b)) => a.as_str() == b.as_str(),
            (Val::Null, Val::Null) => true,
            (Val::Bool(a), Val::Bool(b)) => a == b,
            (Val::Time(a), Val::Time(b)) | (Val::Duration(a), Val::Duration(b)) => a == b,
            (Val::Int(_) | Val::Double(_), Val::Int(_) | Val::Double(_)) => {
                self.compare(other) == Some(Ordering::Equal)
            }
            _ => false,
        }
    }

    /// The order of two values, where their types have one.
    #[inline]
    pub(crate) fn compare(&self, other: &Val<'_>) -> Option<Ordering> {
        match (self, other) {
            (Val::Int(a), Val::Int(b)) | (Val::Time(a), Val::Time(b)) | (Val::Duration(a), Val::Duration(b)) => {
                Some(a.cmp(b))
            }
            (Val::Double(a), Val::Double(b)) => a.partial_cmp(b),
            (Val::Int(a), Val::Double(b)) => compare_int(*a, *b),
            (Val::Double(a), Val::Int(b)) => compare_int(*b, *a).map(Ordering::reverse),
            (Val::Text(a), Val::Text(b)) => Some(a.as_str().cmp(b.as_str())),
            (Val::Bool(a), Val::Bool(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

/// A whole number against a float, exactly: as floats, large neighbours would be equal.
fn compare_int(int: i64, double: f64) -> Option<Ordering> {
    const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
    if double.is_nan() {
        None
    } else if double >= TWO_TO_63 {
        Some(Ordering::Less)
    } else if double < -TWO_TO_63 {
        Some(Ordering::Greater)
    } else {
        let whole = double.trunc();
        let fraction = if double > whole {
            Ordering::Less
        } else if double < whole {
            Ordering::Greater
        } else {
            Ordering::Equal
        };
        Some(int.cmp(&(whole as i64)).then(fraction))
    }
}
