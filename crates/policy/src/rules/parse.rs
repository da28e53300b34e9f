//! From text to expressions: the parser of the `cel` crate, held to limits, and its syntax tree in the
//! terms of the checker, with the place of everything.

use cel::common::ast::{CallExpr, EntryExpr, Expr as Parsed, IdedExpr, LiteralValue, SourceInfo, operators};

use super::tree::{Arithmetic, Order, Place};
use super::{ConditionError, MAX_DEPTH, MAX_NODES, MAX_TEXT_BYTES};

/// An expression.
#[derive(Debug)]
pub(crate) struct Expr {
    /// Where it begins.
    pub(crate) start: Place,
    /// Where what it does is written: its operator, its field's or function's name.
    pub(crate) place: Place,
    pub(crate) written: Written,
}

/// What is written.
#[derive(Debug)]
pub(crate) enum Written {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    Name(String),
    Select(Box<Expr>, String),
    Index(Box<[Expr; 2]>),
    List(Vec<Expr>),
    Map(Vec<[Expr; 2]>),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    /// `&&`; or, if the flag is set, `||`.
    Logic(bool, Box<[Expr; 2]>),
    If(Box<[Expr; 3]>),
    /// `==`; or, if the flag is not set, `!=`.
    Equal(bool, Box<[Expr; 2]>),
    Order(Order, Box<[Expr; 2]>),
    Arithmetic(Arithmetic, Box<[Expr; 2]>),
    In(Box<[Expr; 2]>),
    Call {
        target: Option<Box<Expr>>,
        name: String,
        arguments: Vec<Expr>,
    },
}

/// The names of operators with two sides, which nobody can write as the name of a function.
const BINARY: [&str; 15] = [
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::LESS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::GREATER_EQUALS,
    operators::ADD,
    operators::SUBSTRACT,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::IN,
    operators::INDEX,
];

/// Reads a condition.
pub(crate) fn parse(text: &str) -> Result<Expr, ConditionError> {
    let first = Place { line: 1, column: 1 };
    if text.len() > MAX_TEXT_BYTES {
        return Err(error(first, format!("{} bytes of text, and at most {MAX_TEXT_BYTES} are allowed", text.len())));
    }
    if text.trim().is_empty() {
        return Err(error(first, "expected bool, found nothing".to_owned()));
    }
    // Without macros: they are checked as they are written, not as what they stand for.
    let parser = cel::Env::default().with_optional_support(false).parser();
    let limit = u16::try_from(MAX_DEPTH).unwrap_or(u16::MAX);
    let (expr, places) = match parser.max_recursion_depth(limit).parse_with_source_info(text) {
        Ok(parsed) => parsed,
        Err(errors) => {
            // What follows the first one mostly follows from it.
            let first_error = errors.errors.into_iter().next();
            return Err(first_error.map_or_else(|| error(first, "cannot be read".to_owned()), |e| syntax_error(&e)));
        }
    };
    Reader { text, places: &places, nodes: 0 }.read(&expr, 1).map(|(expr, _)| expr)
}

fn error(place: Place, problem: String) -> ConditionError {
    ConditionError { line: place.line.into(), column: place.column.into(), problem }
}

/// The parser's words in ours: it names all tokens that could follow, and states of its own.
fn syntax_error(found: &cel::ParseError) -> ConditionError {
    let message = found.msg.strip_prefix("Syntax error: ").unwrap_or(&found.msg);
    let problem = if message.starts_with("OtherError") {
        format!("nests deeper than {MAX_DEPTH} levels")
    } else if let Some(token) = message.strip_prefix("token recognition error at: ") {
        format!("cannot read {}", quoted(token))
    } else if let Some(input) = message.strip_prefix("no viable alternative at input ") {
        format!("unexpected {}", quoted(input))
    } else if let Some((input, wanted)) = message
        .strip_prefix("mismatched input ")
        .or_else(|| message.strip_prefix("extraneous input "))
        .and_then(|rest| rest.split_once(" expecting "))
    {
        let few = wanted.len() <= 20 && !wanted.starts_with('{');
        let wanted = if few { format!("expected {}, found", quoted(wanted)) } else { "unexpected".to_owned() };
        format!("{wanted} {}", quoted(input))
    } else if let Some(wanted) = message.strip_prefix("missing ").and_then(|rest| rest.split(" at ").next()) {
        format!("expected {}", quoted(wanted))
    } else if message.starts_with("Incomplete") || message.starts_with("No `") {
        "incomplete".to_owned()
    } else {
        message.chars().take(MAX_QUOTED_CHARS).collect()
    };
    let at = |number: isize| u32::try_from(number).unwrap_or(1).max(1);
    ConditionError { line: at(found.pos.0), column: at(found.pos.1), problem }
}

/// Texts of the condition are cut after so many characters in errors.
const MAX_QUOTED_CHARS: usize = 60;

fn quoted(token: &str) -> String {
    if token == "'<EOF>'" || token == "<EOF>" {
        return "the end".to_owned();
    }
    let inner = token.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).unwrap_or(token).trim();
    if inner.is_empty() {
        "the end".to_owned()
    } else {
        format!("{:?}", inner.chars().take(MAX_QUOTED_CHARS).collect::<String>())
    }
}

struct Reader<'t> {
    text: &'t str,
    places: &'t SourceInfo,
    nodes: usize,
}

/// An expression and the offset at which it begins.
type Read = Result<(Expr, usize), ConditionError>;

impl Reader<'_> {
    fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let lines = before.bytes().filter(|&byte| byte == b'\n').count();
        let columns = before.get(line_start..).unwrap_or_default().chars().count();
        // The text is short enough for both.
        Place {
            line: u16::try_from(lines + 1).unwrap_or(u16::MAX),
            column: u16::try_from(columns + 1).unwrap_or(u16::MAX),
        }
    }

    /// The offset of the first byte after a dot that is not white space or part of a comment.
    fn name_after(&self, dot: usize) -> usize {
        let mut at = dot + 1;
        loop {
            let rest = self.text.get(at..).unwrap_or_default();
            let trimmed = rest.trim_start();
            at += rest.len() - trimmed.len();
            match trimmed.strip_prefix("//") {
                Some(comment) => at += 2 + comment.find('\n').unwrap_or(comment.len()),
                None => return at,
            }
        }
    }

    /// The offset of a function's name before its opening bracket.
    fn name_before(&self, bracket: usize, name: &str) -> usize {
        let before = self.text.get(..bracket).unwrap_or_default();
        before.rfind(name.trim_start_matches('.')).unwrap_or(bracket)
    }

    fn read(&mut self, expr: &IdedExpr, depth: usize) -> Read {
        let offset = self.places.offset_for(expr.id).map_or(0, |(start, _)| start as usize);
        self.nodes += 1;
        if depth > MAX_DEPTH {
            return Err(error(self.place(offset), format!("nests deeper than {MAX_DEPTH} levels")));
        }
        if self.nodes > MAX_NODES {
            return Err(error(self.place(offset), format!("has more than {MAX_NODES} parts")));
        }
        let refuse =
            |reader: &Self, what: &str| Err(error(reader.place(offset), format!("{what} cannot be used here")));
        let mut start = offset;
        let mut place = offset;
        let written = match &expr.expr {
            Parsed::Literal(literal) => match literal {
                LiteralValue::Null => Written::Null,
                LiteralValue::Boolean(value) => Written::Bool(*value.inner()),
                LiteralValue::Int(value) => Written::Int(*value.inner()),
                LiteralValue::Double(value) => Written::Double(*value.inner()),
                LiteralValue::String(text) => Written::Text(text.inner().to_owned()),
                LiteralValue::UInt(_) => return refuse(self, "an unsigned number"),
                LiteralValue::Bytes(_) => return refuse(self, "a literal of bytes"),
            },
            Parsed::Ident(name) => Written::Name(name.clone()),
            Parsed::Select(select) => {
                let (operand, operand_start) = self.read(&select.operand, depth + 1)?;
                start = operand_start;
                place = self.name_after(offset);
                Written::Select(Box::new(operand), select.field.clone())
            }
            Parsed::List(list) => {
                let elements = list.elements.iter().map(|element| Ok(self.read(element, depth + 1)?.0));
                Written::List(elements.collect::<Result<_, ConditionError>>()?)
            }
            Parsed::Map(map) => {
                let mut entries = Vec::with_capacity(map.entries.len());
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else { return refuse(self, "a field") };
                    entries.push([self.read(&entry.key, depth + 1)?.0, self.read(&entry.value, depth + 1)?.0]);
                }
                Written::Map(entries)
            }
            Parsed::Call(call) => {
                let (written, written_start, written_place) = self.call(call, offset, depth)?;
                (start, place) = (written_start, written_place);
                written
            }
            Parsed::Struct(_) => return refuse(self, "an object with a type"),
            Parsed::Comprehension(_) | Parsed::Unspecified => return refuse(self, "this"),
        };
        Ok((Expr { start: self.place(start), place: self.place(place), written }, start))
    }

    /// A call or an operator, with the offsets where it begins and where its name is.
    fn call(
        &mut self,
        call: &CallExpr,
        offset: usize,
        depth: usize,
    ) -> Result<(Written, usize, usize), ConditionError> {
        let name = call.func_name.as_str();
        let operator = match name {
            operators::LOGICAL_NOT | operators::NEGATE => 1,
            operators::CONDITIONAL => 3,
            name if BINARY.contains(&name) => 2,
            _ => 0,
        };
        if operator != call.args.len() || call.target.is_some() || operator == 0 {
            let place = self.name_before(offset, name);
            let mut start = place;
            let target = match &call.target {
                None => None,
                Some(target) => {
                    let (target, target_start) = self.read(target, depth + 1)?;
                    start = target_start;
                    Some(Box::new(target))
                }
            };
            let arguments = call.args.iter().map(|argument| Ok(self.read(argument, depth + 1)?.0));
            let arguments = arguments.collect::<Result<_, ConditionError>>()?;
            return Ok((Written::Call { target, name: name.to_owned(), arguments }, start, place));
        }
        let mut start = None;
        let mut operands = Vec::with_capacity(operator);
        for operand in &call.args {
            let (operand, operand_start) = self.read(operand, depth + 1)?;
            start.get_or_insert(operand_start);
            operands.push(operand);
        }
        if operator == 1 {
            start = Some(offset);
        }
        let unknown = || error(self.place(offset), format!("unknown operator {name:?}"));
        let written = match (name, <[Expr; 2]>::try_from(operands)) {
            (_, Ok(two)) => {
                let two = Box::new(two);
                match name {
                    operators::LOGICAL_AND => Written::Logic(false, two),
                    operators::LOGICAL_OR => Written::Logic(true, two),
                    operators::EQUALS => Written::Equal(true, two),
                    operators::NOT_EQUALS => Written::Equal(false, two),
                    operators::LESS => Written::Order(Order::Less, two),
                    operators::LESS_EQUALS => Written::Order(Order::LessEqual, two),
                    operators::GREATER => Written::Order(Order::Greater, two),
                    operators::GREATER_EQUALS => Written::Order(Order::GreaterEqual, two),
                    operators::ADD => Written::Arithmetic(Arithmetic::Add, two),
                    operators::SUBSTRACT => Written::Arithmetic(Arithmetic::Subtract, two),
                    operators::MULTIPLY => Written::Arithmetic(Arithmetic::Multiply, two),
                    operators::DIVIDE => Written::Arithmetic(Arithmetic::Divide, two),
                    operators::MODULO => Written::Arithmetic(Arithmetic::Modulo, two),
                    operators::IN => Written::In(two),
                    operators::INDEX => Written::Index(two),
                    _ => return Err(unknown()),
                }
            }
            (operators::CONDITIONAL, Err(three)) => {
                Written::If(Box::new(<[Expr; 3]>::try_from(three).map_err(|_| unknown())?))
            }
            (_, Err(mut one)) => {
                let operand = Box::new(one.pop().ok_or_else(unknown)?);
                if name == operators::NEGATE { Written::Negate(operand) } else { Written::Not(operand) }
            }
        };
        Ok((written, start.unwrap_or(offset), offset))
    }
}
