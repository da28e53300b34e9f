//! Records as CSV (RFC 4180), for spreadsheets: fixed columns, and no cell that is taken for a formula.

use std::borrow::Cow;

use anyhow::{Context as _, Result};
use csv::{Terminator, WriterBuilder};
use serde_json::Value;

use super::entry::Entry;
use crate::printable::printable;

/// Where a column's value is found in `data`.
type Path = &'static [&'static str];

const TRAVEL: &str = "ImpossibleTravel";
const DEVICE: &str = "NewDevice";
const ADDRESS: &str = "UntrustedIP";
const RISK: &str = "riskAssessment";

/// The columns, in their order, each with where its value stands below `data`. `docs/analysts.md` lists them.
const COLUMNS: [(&str, Path); 30] = [
    ("date", &["date"]),
    ("type", &["type"]),
    ("tenant", &["tenant_name"]),
    ("user_id", &["user_id"]),
    ("user_name", &["user_name"]),
    ("ip", &["client_ip"]),
    ("country", &["location_info", "country_code"]),
    ("city", &["location_info", "city_name"]),
    ("as_number", &["details", "autonomous_system", "number"]),
    ("confidence", &["details", RISK, "confidence"]),
    ("action", &["details", "decision", "action"]),
    ("reason", &["details", "decision", "reason"]),
    ("rule", &["details", "decision", "rule"]),
    ("travel_code", &["details", RISK, "assessments", TRAVEL, "code"]),
    ("travel_confidence", &["details", RISK, "assessments", TRAVEL, "confidence"]),
    ("travel_km", &["details", RISK, "assessments", TRAVEL, "details", "effective_distance_km"]),
    ("travel_s", &["details", RISK, "assessments", TRAVEL, "details", "elapsed_s"]),
    ("travel_kmh", &["details", RISK, "assessments", TRAVEL, "details", "speed_kmh"]),
    ("device_code", &["details", RISK, "assessments", DEVICE, "code"]),
    ("device_confidence", &["details", RISK, "assessments", DEVICE, "confidence"]),
    ("ip_code", &["details", RISK, "assessments", ADDRESS, "code"]),
    ("ip_confidence", &["details", RISK, "assessments", ADDRESS, "confidence"]),
    ("ip_list", &["details", RISK, "assessments", ADDRESS, "details", "source"]),
    ("ip_category", &["details", RISK, "assessments", ADDRESS, "details", "category"]),
    ("error", &["details", "error", "message"]),
    ("client_name", &["client_name"]),
    ("connection", &["connection"]),
    ("user_agent", &["user_agent"]),
    ("event_id", &["details", "event_id"]),
    ("log_id", &["log_id"]),
];

/// The names of the columns, as a line.
pub(super) fn header() -> Result<String> {
    row(COLUMNS.iter().map(|(name, _)| Cow::Borrowed(*name)))
}

/// Writes a record as a line, with its end.
pub(super) fn line(entry: &Entry) -> Result<String> {
    let is_change = entry.kind() == "sapi";
    let value = |(name, path): &(&str, Path)| {
        // A change of settings has its address in the one place, a login in the other.
        let path = if is_change && *name == "ip" { &["ip"][..] } else { path };
        cell(path.iter().fold(entry.data(), |value, key| &value[*key]))
    };
    row(COLUMNS.iter().map(value))
}

/// A value as it stands in a cell. What a spreadsheet would take for a formula gets a quote mark before it.
fn cell(value: &Value) -> Cow<'_, str> {
    let text = match value {
        Value::Null => Cow::Borrowed(""),
        Value::String(text) => printable(text),
        other => return Cow::Owned(printable(&other.to_string()).into_owned()),
    };
    let is_formula = text.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
    if is_formula { Cow::Owned(format!("'{text}")) } else { text }
}

fn row<'a>(cells: impl Iterator<Item = Cow<'a, str>>) -> Result<String> {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::with_capacity(512));
    for cell in cells {
        writer.write_field(cell.as_bytes())?;
    }
    writer.write_record(None::<&[u8]>)?;
    let bytes = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
    String::from_utf8(bytes).context("a line of CSV")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_are_texts_and_never_formulas() {
        for (value, wanted) in [
            (json!(null), ""),
            (json!("auth0|42"), "auth0|42"),
            (json!("=1+1"), "'=1+1"),
            (json!("+1"), "'+1"),
            (json!("-1"), "'-1"),
            (json!("@SUM(A1)"), "'@SUM(A1)"),
            (json!("  =1"), "'  =1"),
            (json!("＝1"), "'＝1"),
            (json!("\t=1"), "\\t=1"),
            (json!("a=1"), "a=1"),
            (json!("\u{1b}[1m\r\n"), "\\u{1b}[1m\\r\\n"),
            (json!(-0.5), "-0.5"),
            (json!(16894.0), "16894.0"),
            (json!({"a": "\u{9b}"}), "{\"a\":\"\\u{9b}\"}"),
        ] {
            assert_eq!(cell(&value), wanted, "{value}");
        }
    }

    #[test]
    fn cells_are_quoted_where_they_have_to_be() {
        let cells = ["a", "b,c", "d \"e\"", "", "f\ng"].map(Cow::Borrowed);
        assert_eq!(row(cells.into_iter()).unwrap(), "a,\"b,c\",\"d \"\"e\"\"\",,\"f\ng\"\r\n");
    }
}
