//! One readable line a login.

use anstyle::{AnsiColor, Style};
use serde_json::Value;
use unicode_width::UnicodeWidthChar as _;

use super::entry::Entry;
use super::filter::TYPES;
use crate::explain::{assessments, grouped, short_span};
use crate::printable::printable;

/// Longest text of an event in a line, in terminal columns; JSON has all of it.
const MAX_COLUMNS: usize = 64;
/// Least widths of the columns, in terminal columns: a longer text moves the rest of its line.
const KIND: usize = 14;
const TENANT: usize = 12;
const USER: usize = 20;
const PLACE: usize = 32;
const CONFIDENCE: usize = 7;
const ACTION: usize = 9;

/// Writes a record as a line of text, with its line feed.
pub(super) fn line(entry: &Entry, colour: bool) -> String {
    let data = entry.data();
    let kind = TYPES.iter().find(|(kind, _)| *kind == entry.kind()).map(|(_, words)| *words);
    let confidence = entry.risk()["confidence"].as_str();
    let action = entry.decision()["action"].as_str();
    let is_change = entry.kind() == "sapi";
    let user = data["user_id"].as_str().or_else(|| data["user_name"].as_str());
    // Settings are changed by whoever has a token.
    let user = user.filter(|_| !is_change).or_else(|| data["client_name"].as_str().filter(|_| is_change));
    let time = entry.date.to_string();
    let time = time.get(..19).unwrap_or_default().replace('T', " ");
    let mut line = Line { text: String::with_capacity(256), colour };
    line.put(&time, 19, Style::new().dimmed());
    line.put(&cut(kind.unwrap_or(entry.kind())), KIND, Style::new());
    line.put(&cut(data["tenant_name"].as_str().unwrap_or("-")), TENANT, Style::new());
    line.put(&cut(user.unwrap_or("-")), USER, Style::new().bold());
    line.put(&address_and_place(data), PLACE, Style::new());
    line.put(&cut(confidence.unwrap_or("-")), CONFIDENCE, of_confidence(confidence));
    line.put(&cut(action.unwrap_or("-")), ACTION, of_action(action));
    if confidence.is_some() {
        for (number, (assessor, assessment)) in assessments(entry.risk()).enumerate() {
            line.text.push_str(if number > 0 { " · " } else { "" });
            line.put(&cut(&in_short(assessor, assessment)), 0, of_confidence(assessment["confidence"].as_str()));
        }
    } else if is_change {
        let request = &data["details"]["request"];
        let text = |key: &str| request[key].as_str().unwrap_or("?").to_owned();
        line.put(&cut(&format!("{} {}", text("method").to_uppercase(), text("path"))), 0, Style::new());
        if !request["body"].is_null() {
            line.text.push(' ');
            line.put(&cut(&request["body"].to_string()), 0, Style::new().dimmed());
        }
    } else if let Some(description) = data["description"].as_str()
        && !description.eq_ignore_ascii_case(kind.unwrap_or_default())
    {
        line.put(&cut(description), 0, Style::new());
    }
    let mut text = line.text;
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
    text
}

struct Line {
    text: String,
    colour: bool,
}

impl Line {
    /// Adds a text that is fit to be shown, and, where a width is given, the room up to the next column.
    fn put(&mut self, text: &str, width: usize, style: Style) {
        if self.colour {
            self.text.push_str(&format!("{style}{text}{style:#}"));
        } else {
            self.text.push_str(text);
        }
        if width > 0 {
            let used: usize = text.chars().map(columns).sum();
            self.text.extend(std::iter::repeat_n(' ', width.saturating_sub(used) + 2));
        }
    }
}

fn columns(c: char) -> usize {
    c.width().unwrap_or_default()
}

/// A text of an event, fit to be shown and not too long.
fn cut(text: &str) -> String {
    let shown = printable(text);
    let mut used = 0;
    let end = shown.char_indices().find(|(_, c)| {
        used += columns(*c);
        used > MAX_COLUMNS
    });
    match end {
        None => shown.into_owned(),
        Some((at, _)) => format!("{}…", shown.get(..at).unwrap_or_default()),
    }
}

fn address_and_place(data: &Value) -> String {
    // `ip` is 0.0.0.0 where there is no address.
    let of_change = data["ip"].as_str().filter(|_| data["type"] == "sapi");
    let address = data["client_ip"].as_str().or(of_change).unwrap_or("no address");
    let place = &data["location_info"];
    let parts = [Some(address), place["city_name"].as_str(), place["country_code"].as_str()];
    parts.into_iter().flatten().map(cut).collect::<Vec<_>>().join(" ")
}

/// An answer in short: the code without what they all have in common, and the fact behind it.
fn in_short(assessor: &str, assessment: &Value) -> String {
    let code = assessment["code"].as_str().unwrap_or("no code");
    let details = &assessment["details"];
    match assessor {
        "ImpossibleTravel" => {
            let short = code.strip_suffix("_from_last_login").unwrap_or(code);
            let Some(km) = details["effective_distance_km"].as_f64() else { return short.to_owned() };
            let time = details["elapsed_s"].as_f64().map(|s| format!(" in {}", short_span(s))).unwrap_or_default();
            format!("{short} ({} km{time})", grouped(km))
        }
        "NewDevice" => code.to_owned(),
        "UntrustedIP" => match details["category"].as_str() {
            Some(category) => format!("{code} {category}"),
            None => code.to_owned(),
        },
        // Assessors that are not known are named.
        other => format!("{other}.{code}"),
    }
}

fn of_confidence(confidence: Option<&str>) -> Style {
    match confidence {
        Some("low") => AnsiColor::Red.on_default(),
        Some("medium") => AnsiColor::Yellow.on_default(),
        Some("high") => AnsiColor::Green.on_default(),
        _ => Style::new().dimmed(),
    }
}

fn of_action(action: Option<&str>) -> Style {
    match action {
        None | Some("none") => Style::new().dimmed(),
        Some("deny") => AnsiColor::Red.on_default().bold(),
        Some(_) => Style::new().bold(),
    }
}
