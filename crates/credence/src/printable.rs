//! Texts of events made fit to be shown: whoever tries to log in chooses them, and a terminal obeys what it
//! is sent.

use std::borrow::Cow;

/// Whether a character does something else than to be seen: control characters (a terminal's commands begin
/// with them), and those that reorder, join or hide what stands around them.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text with every such character escaped: `\n`, `\u{1b}`.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// JSON text on one line, with such characters as JSON escapes them: the same value. Control characters below
/// the space are nothing but white space in JSON, and the others stand in texts alone.
#[must_use]
pub fn printable_json(json: &str) -> Cow<'_, str> {
    if !json.contains(is_hidden) {
        return Cow::Borrowed(json);
    }
    let mut shown = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match c {
            '\n' | '\r' | '\t' => shown.push(' '),
            c if is_hidden(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    shown.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_obeyed_is_shown() {
        for (text, shown) in [
            ("auth0|42 Zoë 東京 \\ \"x\"", "auth0|42 Zoë 東京 \\ \"x\""),
            ("\u{1b}[2Ja\r\nb\tc\0", "\\u{1b}[2Ja\\r\\nb\\tc\\u{0}"),
            ("\u{7f}\u{9b}31m", "\\u{7f}\\u{9b}31m"),
            ("ab\u{202e}cd\u{2066}\u{200b}\u{2028}\u{e0041}", "ab\\u{202e}cd\\u{2066}\\u{200b}\\u{2028}\\u{e0041}"),
        ] {
            assert_eq!(printable(text), shown);
            assert!(!printable(text).contains(is_hidden));
        }
    }

    #[test]
    fn json_keeps_its_value() {
        let json = "{\n\t\"a\" : \"\u{9b}1m\u{202e}\u{e0041}é\\u001b\\n\"\r\n}";
        let shown = printable_json(json);
        assert_eq!(shown, r#"{  "a" : "\u009b1m\u202e\udb40\udc41é\u001b\n"  }"#);
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&shown), value(json));
    }
}
