//! Shows some of what is wrong, beside what should have been.

use std::collections::BTreeMap;
use std::path::Path;

use crate::check::Ledger;
use crate::error::CrashError;
use crate::names::Name;

/// Tells, on standard error, of some records that are not as they should be. The expected ones are looked
/// up in the file again.
pub(crate) fn explain(
    what: &str,
    name: fn(&[u8]) -> Option<Name>,
    ledger: &Ledger,
    expected: &Path,
) -> Result<(), CrashError> {
    let miscounted = ledger.miscounted();
    if ledger.samples().is_empty() && miscounted.is_empty() {
        return Ok(());
    }
    let looked_for =
        ledger.samples().iter().filter_map(|sample| sample.name).chain(miscounted.iter().map(|(_, name)| *name));
    let mut texts: BTreeMap<u64, String> = looked_for.map(|name| (name, String::new())).collect();
    crate::lines::each(expected, |_, line| {
        let found = name(line).and_then(|name| texts.get_mut(&name.record));
        if let Some(text) = found {
            *text = String::from_utf8_lossy(line).into_owned();
        }
        Ok(())
    })?;
    let text = |name: &u64| texts.get(name).map_or("", String::as_str);
    eprintln!("\nSome of the {what} that are not as they should be:");
    for sample in ledger.samples() {
        eprintln!("- {}\n  is:        {}", sample.what, sample.text);
        eprintln!("  should be: {}", sample.name.as_ref().map_or("", text));
    }
    for (what, name) in &miscounted {
        eprintln!("- {what}\n  should be: {}", text(name));
    }
    Ok(())
}
