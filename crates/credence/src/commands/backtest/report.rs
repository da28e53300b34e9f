//! What would have changed: a table for people, JSON for machines.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use super::tally::{Row, Tally};
use crate::explain;
use crate::printable::printable;

/// Rows of a table; the others are in the JSON.
const MAX_ROWS: usize = 20;

/// The rows with the most changes, those with the most logins first among equals.
fn foremost(rows: &std::collections::BTreeMap<String, Row>) -> Vec<(&String, &Row)> {
    let mut rows: Vec<_> = rows.iter().collect();
    rows.sort_by_key(|(_, row)| std::cmp::Reverse((row.new + row.gone, row.logins)));
    rows
}

fn table(titles: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(titles);
    table.add_rows(rows);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

fn row(name: &str, row: &Row) -> Vec<String> {
    let mut cells = vec![printable(name).into_owned(), row.logins.to_string()];
    cells.extend((0..2).map(|run| format!("{:.2}", row.per_1000(run))));
    cells.extend([row.new.to_string(), row.gone.to_string()]);
    cells
}

/// For people.
pub(super) fn text(tally: &Tally) -> String {
    const TITLES: [&str; 6] = ["", "logins", "before", "after", "new", "gone"];
    let Tally { names: [before, after], total, .. } = tally;
    let mut out = format!(
        "before: {before}\nafter:  {after}\n\n{} events, {} scored logins, {} unreadable lines\n\n\
         Logins that are asked for something or denied, per 1,000 logins; new: with the settings after alone, gone: \
         with those before alone\n\n",
        tally.events, total.logins, tally.dead
    );
    let mut section = |title: &str, rows: &std::collections::BTreeMap<String, Row>| {
        let shown = foremost(rows);
        let mut titles = TITLES;
        titles[0] = title;
        out.push_str(&table(&titles, shown.iter().take(MAX_ROWS).map(|(name, counts)| row(name, counts))));
        let more = shown.len().saturating_sub(MAX_ROWS);
        out.push_str(&if more > 0 { format!("\n(and {more} more, see --json)\n\n") } else { "\n\n".to_owned() });
    };
    section("all", &[("all".to_owned(), *total)].into());
    section("tenant", &tally.by_tenant);
    section("code (after)", &tally.by_code);
    let decisions: std::collections::BTreeSet<_> = tally.decisions.iter().flat_map(|run| run.keys()).collect();
    let count = |run: usize, key| tally.decisions[run].get(key).copied().unwrap_or_default().to_string();
    let rows = decisions.into_iter().map(|key| vec![format!("{} ({})", key.0, key.1), count(0, key), count(1, key)]);
    out.push_str(&table(&["decision", "before", "after"], rows));
    out.push_str("\n\n");
    if !tally.by_rule.is_empty() {
        let mut rules: Vec<_> = tally.by_rule.iter().collect();
        rules.sort_by_key(|(_, counts)| std::cmp::Reverse(counts[0].abs_diff(counts[1])));
        let rows = rules
            .iter()
            .take(MAX_ROWS)
            .map(|(name, counts)| vec![printable(name).into_owned(), counts[0].to_string(), counts[1].to_string()]);
        out.push_str(&table(&["rule", "before", "after"], rows));
        out.push_str("\n\n");
    }
    if tally.moves.is_empty() {
        out.push_str("No login would have been decided differently.\n");
        return out;
    }
    let rows = tally.moves.iter().map(|((from, to), logins)| vec![format!("{from} -> {to}"), logins.to_string()]);
    out.push_str(&table(&["changed", "logins"], rows));
    out.push_str(&format!(
        "\n\n{} users would have been asked or denied who were not, {} no longer\n",
        tally.users_new.len(),
        tally.users_gone.len()
    ));
    for example in &tally.examples {
        let text = |value: &Value| printable(value.as_str().unwrap_or_default()).into_owned();
        let decision = |verdict: &Value| {
            let decision = &verdict["decision"];
            let rule = decision["rule"].as_str().map(|rule| format!(", rule {:?}", printable(rule)));
            format!("{} ({}{})", text(&decision["action"]), text(&decision["reason"]), rule.unwrap_or_default())
        };
        let (before, after) = (&example.before, &example.after);
        out.push_str(&format!(
            "\n{}  {}  {}  {}\n  {} -> {}\n",
            text(&after["time"]),
            text(&after["tenant"]),
            text(&after["user_id"]),
            text(&after["event_id"]),
            decision(before),
            decision(after),
        ));
        let confidence = |verdict: &Value| text(&verdict["risk_assessment"]["confidence"]);
        out.push_str(&format!("  confidence {} -> {}\n", confidence(before), confidence(after)));
        for sentence in explain::sentences(&after["risk_assessment"]) {
            out.push_str(&format!("  {}\n", printable(&sentence)));
        }
    }
    out
}

fn row_json(row: &Row) -> Value {
    json!({
        "logins": row.logins,
        "prompts": { "before": row.prompts[0], "after": row.prompts[1] },
        "prompts_per_1000": { "before": row.per_1000(0), "after": row.per_1000(1) },
        "new": row.new,
        "gone": row.gone,
    })
}

/// For machines.
pub(super) fn json(tally: &Tally) -> String {
    let rows = |rows: &std::collections::BTreeMap<String, Row>| -> Value {
        rows.iter().map(|(name, row)| (name.clone(), row_json(row))).collect::<serde_json::Map<_, _>>().into()
    };
    let decisions = |run: usize| -> Value {
        let decision = |(&(action, reason), logins): (&(&str, &str), &u64)| json!({ "action": action, "reason": reason, "logins": logins });
        tally.decisions[run].iter().map(decision).collect()
    };
    let moves = tally.moves.iter().map(|((from, to), logins)| json!({ "from": from, "to": to, "logins": logins }));
    let rules =
        tally.by_rule.iter().map(|(name, [before, after])| (name.clone(), json!({ "before": before, "after": after })));
    let examples = tally.examples.iter().map(|example| json!({ "before": example.before, "after": example.after }));
    let result = json!({
        "settings": { "before": tally.names[0], "after": tally.names[1] },
        "events": tally.events,
        "unreadable_lines": tally.dead,
        "total": row_json(&tally.total),
        "decisions": { "before": decisions(0), "after": decisions(1) },
        "changes": moves.collect::<Value>(),
        "by_tenant": rows(&tally.by_tenant),
        "by_code": rows(&tally.by_code),
        "by_rule": rules.collect::<serde_json::Map<_, _>>(),
        "users": { "new": tally.users_new, "gone": tally.users_gone },
        "examples": examples.collect::<Value>(),
    });
    format!("{result:#}\n")
}
