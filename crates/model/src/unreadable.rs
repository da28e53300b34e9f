//! Why a record cannot be read, and the limits of what is.

/// Largest record that is read, in bytes.
pub const MAX_EVENT_BYTES: usize = 1024 * 1024;
/// Deepest nesting of objects and arrays that is read.
pub const MAX_DEPTH: usize = 128;
/// Longest description of what is wrong with a record, in characters; it quotes the record's own text.
const MAX_DETAIL_CHARS: usize = 200;

/// Why a record cannot be read. Such a record goes to the dead-letter topic as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Nothing in it (a null value, or no bytes).
    #[error("the record is empty")]
    Empty,
    /// More than [`MAX_EVENT_BYTES`].
    #[error("{0} bytes, and at most {MAX_EVENT_BYTES} are read")]
    TooLarge(usize),
    /// Text that is not UTF-8.
    #[error("text that is not valid UTF-8")]
    InvalidUtf8,
    /// A NaN, which neither encoding may carry as a value.
    #[error("a number that is NaN")]
    NotANumber,
    /// Nesting beyond [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// Not JSON.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// Not MessagePack.
    #[error("not MessagePack: {0}")]
    NotMsgpack(String),
    /// A JSON or MessagePack value that is not an object.
    #[error("not an object")]
    NotAnObject,
    /// A known field given twice: two readers could take different ones.
    #[error("given twice: {0}")]
    DuplicateField(String),
    /// A required field is not there.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A required field is of a wrong type.
    #[error("`{0}` is of a wrong type")]
    WrongType(&'static str),
    /// A required field's value is not allowed.
    #[error("`{path}` is out of bounds: allowed are {limits}")]
    OutOfBounds {
        /// Which field.
        path: &'static str,
        /// What is allowed.
        limits: String,
    },
}

impl Unreadable {
    /// The reason as a label: one of a fixed few.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Unreadable::Empty => "empty",
            Unreadable::TooLarge(_) => "too_large",
            Unreadable::InvalidUtf8 => "invalid_utf8",
            Unreadable::NotANumber => "nan",
            Unreadable::TooDeep => "too_deep",
            Unreadable::NotJson(_) => "not_json",
            Unreadable::NotMsgpack(_) => "not_msgpack",
            Unreadable::NotAnObject => "not_an_object",
            Unreadable::DuplicateField(_) => "duplicate_field",
            Unreadable::Missing(_) => "missing_field",
            Unreadable::WrongType(_) => "wrong_type",
            Unreadable::OutOfBounds { .. } => "out_of_bounds",
        }
    }

    /// All labels that [`Unreadable::reason`] gives.
    pub const REASONS: [&'static str; 12] = [
        "empty",
        "too_large",
        "invalid_utf8",
        "nan",
        "too_deep",
        "not_json",
        "not_msgpack",
        "not_an_object",
        "duplicate_field",
        "missing_field",
        "wrong_type",
        "out_of_bounds",
    ];

    pub(crate) fn not_msgpack(detail: impl ToString) -> Self {
        Unreadable::NotMsgpack(cut(detail.to_string()))
    }

    pub(crate) fn not_json(detail: impl ToString) -> Self {
        Unreadable::NotJson(cut(detail.to_string()))
    }
}

fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MAX_DETAIL_CHARS) {
        text.truncate(end);
    }
    text
}
