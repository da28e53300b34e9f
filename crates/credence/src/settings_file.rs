//! Settings documents of several tenants in a file: JSON lines or a JSON array.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use policy::document::tenant_of;
use policy::{Defaults, Tenant, Tenants};
use serde_json::Value;

/// Largest file that is read.
const MAX_FILE_BYTES: u64 = 1 << 30;
/// Most problems that are told.
const MAX_PROBLEMS: usize = 200;

/// Reads a file of documents, each of which names its tenant.
///
/// # Errors
/// The file cannot be read, or what is wrong with its documents, all at once.
pub fn read(path: &Path, defaults: &Defaults) -> Result<Tenants, Vec<String>> {
    parse(&text_of(path)?, defaults)
}

fn text_of(path: &Path) -> Result<String, Vec<String>> {
    let bytes = path.metadata().map_err(|error| vec![format!("it cannot be read: {error}")])?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(vec![format!("it has {bytes} bytes; at most {MAX_FILE_BYTES} are read")]);
    }
    std::fs::read_to_string(path).map_err(|error| vec![format!("it cannot be read: {error}")])
}

/// Reads documents from a text.
///
/// # Errors
/// What is wrong with them, all at once.
pub fn parse(text: &str, defaults: &Defaults) -> Result<Tenants, Vec<String>> {
    let mut tenants = Tenants::new(Arc::new(Tenant::by_default(defaults)));
    each(text, defaults, |tenant, _, compiled| tenants.set(tenant, Some(Arc::new(compiled))))?;
    Ok(tenants)
}

/// Calls `take` with each document that is in order, its tenant, and what it compiles to.
fn each(text: &str, defaults: &Defaults, mut take: impl FnMut(&str, &Value, Tenant)) -> Result<(), Vec<String>> {
    let documents = if text.trim_start().starts_with('[') {
        serde_json::from_str::<Vec<Value>>(text)
    } else {
        serde_json::Deserializer::from_str(text).into_iter().collect()
    };
    let documents = documents.map_err(|error| vec![format!("it is not JSON: {error}")])?;
    let (mut problems, mut seen) = (Vec::new(), BTreeSet::new());
    for (number, document) in documents.iter().enumerate() {
        let Some(tenant) = tenant_of(document) else {
            problems.push(format!("document {}: `tenant` must name its tenant, with 1 to 128 bytes", number + 1));
            continue;
        };
        let named = format!("document {} (tenant {tenant:?})", number + 1);
        if !seen.insert(tenant) {
            problems.push(format!("{named}: there is one of this tenant before it"));
        }
        match Tenant::compile(document, Some(tenant), defaults) {
            Ok(compiled) => take(tenant, document, compiled),
            Err(wrong) => problems.extend(wrong.iter().map(|problem| format!("{named}: {problem}"))),
        }
        if problems.len() > MAX_PROBLEMS {
            break;
        }
    }
    problems.truncate(MAX_PROBLEMS);
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// The documents of a file, each with its tenant, as they go to the settings topic.
///
/// # Errors
/// As [`read`].
pub fn documents(path: &Path, defaults: &Defaults) -> Result<Vec<(String, Value)>, Vec<String>> {
    let mut documents = Vec::new();
    let text = text_of(path)?;
    each(&text, defaults, |tenant, document, _| documents.push((tenant.to_owned(), document.clone())))?;
    Ok(documents)
}
