//! Writes down some of what is wrong, beside what should have been.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::check::Ledger;
use crate::error::CrashError;
use crate::names::Name;

/// Tells of some records that are not as they should be; empty when there are none. The expected ones are
/// looked up in the file again. `once`: a record that was asked for once must be there once.
pub(crate) fn explain(
    what: &str,
    once: bool,
    name: fn(&[u8]) -> Option<Name>,
    ledger: &Ledger,
    expected: &Path,
) -> Result<String, CrashError> {
    let repeated = if once { ledger.repeated() } else { Default::default() };
    let counted = [("missing", ledger.missing()), ("more often than asked for", repeated)];
    let sampled = ledger.samples().iter().filter_map(|sample| sample.name);
    let names = sampled.chain(counted.iter().flat_map(|(_, names)| names.iter().copied()));
    let mut texts: BTreeMap<u64, String> = names.map(|name| (name, String::new())).collect();
    let mut out = String::new();
    if texts.is_empty() && ledger.samples().is_empty() {
        return Ok(out);
    }
    crate::lines::each(expected, |_, line| {
        let found = name(line).and_then(|name| texts.get_mut(&name.record));
        if let Some(text) = found {
            *text = String::from_utf8_lossy(line).into_owned();
        }
        Ok(())
    })?;
    let text = |name: &u64| texts.get(name).map_or("", String::as_str);
    // Writing to a String cannot fail.
    for sample in ledger.samples() {
        let should_be = sample.name.as_ref().map_or("", text);
        let _ = writeln!(out, "{what}, {}\n  is:        {}\n  should be: {should_be}", sample.what, sample.text);
    }
    for (problem, names) in &counted {
        for name in names {
            let _ = writeln!(out, "{what}, {problem}\n  should be: {}", text(name));
        }
    }
    Ok(out)
}
