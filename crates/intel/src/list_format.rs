//! The text formats that address lists are published in.
//!
//! One entry a line: the first field is an address or a CIDR network. That covers FireHOL netsets,
//! ipsum, X4BNet, StopForumSpam's CSV, Spamhaus DROP and Apple's relay CSV; Tor's exit list names its
//! addresses in `ExitAddress` lines.

use ipnet::IpNet;
use model::parse_network;

/// Most lines that are named when they hold no entry.
pub const MAX_NAMED_LINES: usize = 5;
/// Longest text that a line is named by, in characters.
const MAX_NAMED_CHARS: usize = 80;

/// What a list file holds.
#[derive(Debug, Default, PartialEq)]
pub struct ParsedList {
    /// The entries in canonical form, in the order of the file.
    pub entries: Vec<IpNet>,
    /// How many lines hold neither an entry nor a comment.
    pub other_lines: usize,
    /// The first of them: line number, beginning of the text.
    pub named_lines: Vec<(usize, String)>,
}

/// Reads a list. Bytes that are not UTF-8 make no entry, but do no harm to the entries beside them.
#[must_use]
pub fn parse_list(bytes: &[u8]) -> ParsedList {
    let mut list = ParsedList::default();
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    for (index, line) in bytes.split(|&b| b == b'\n').enumerate() {
        let line = String::from_utf8_lossy(line);
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) || line.starts_with("//") {
            continue;
        }
        match parse_line(line) {
            Some(network) => list.entries.push(network),
            None => {
                list.other_lines += 1;
                if list.named_lines.len() < MAX_NAMED_LINES {
                    list.named_lines.push((index + 1, line.chars().take(MAX_NAMED_CHARS).collect()));
                }
            }
        }
    }
    list
}

fn parse_line(line: &str) -> Option<IpNet> {
    let is_separator = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '|');
    let mut fields = line.split(is_separator);
    let mut field = fields.next()?;
    if field == "ExitAddress" {
        field = fields.find(|field| !field.is_empty())?;
    }
    // A comment may follow without a space.
    let field = field.split('#').next()?;
    let field = field.split("//").next()?;
    parse_network(field.trim_matches(['"', '\'']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_published_format() {
        let cases: &[(&str, Option<&str>)] = &[
            ("198.51.100.0/26", Some("198.51.100.0/26")),
            ("198.51.100.67/31", Some("198.51.100.66/31")),
            ("198.51.100.81\t9", Some("198.51.100.81/32")),
            ("\"198.51.100.90\",\"2026-03-01 00:00:00\",\"3\"", Some("198.51.100.90/32")),
            ("198.51.100.96/29 ; SBL000001", Some("198.51.100.96/29")),
            ("198.51.100.104/30;SBL000002", Some("198.51.100.104/30")),
            ("198.51.100.108|x|y", Some("198.51.100.108/32")),
            ("198.51.100.110 # why", Some("198.51.100.110/32")),
            ("198.51.100.110#why", Some("198.51.100.110/32")),
            ("198.51.100.111//why", Some("198.51.100.111/32")),
            ("ExitAddress 198.51.100.112 2026-03-01 12:03:31", Some("198.51.100.112/32")),
            ("ExitNode 198.51.100.116", None),
            ("ExitAddress nonsense", None),
            ("ExitAddress", None),
            ("198.51.100.208/28,GB,GB-EN,London,", Some("198.51.100.208/28")),
            ("2001:db8:c0::/45,US,US-CA,Los Angeles,", Some("2001:db8:c0::/45")),
            ("::ffff:198.51.100.140/126", Some("198.51.100.140/30")),
            ("0.0.0.0/0", None),
            ("not an address,198.51.100.94", None),
            (",198.51.100.94", None),
            ("<html>", None),
        ];
        for (line, wanted) in cases {
            let list = parse_list(line.as_bytes());
            assert_eq!(list.entries.first().map(ToString::to_string).as_deref(), *wanted, "{line}");
            assert_eq!(list.other_lines, usize::from(wanted.is_none()), "{line}");
        }
    }

    #[test]
    fn comments_endings_and_broken_bytes_do_no_harm() {
        let text = b"\xef\xbb\xbf# c\r\n; c\n// c\n\n192.0.2.1\r\n\xff\xfe\n192.0.2.2 \xff\n192.0.2.3";
        let list = parse_list(text);
        let entries: Vec<_> = list.entries.iter().map(ToString::to_string).collect();
        assert_eq!(entries, ["192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32"]);
        assert_eq!((list.other_lines, list.named_lines[0].0), (1, 6));
    }
}
