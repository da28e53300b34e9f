//! Many errors as one: everything that is wrong is told at once.

/// All errors as one, each on a line of its own.
pub fn all_errors<E: std::fmt::Display>(what: &str, errors: &[E]) -> anyhow::Error {
    let lines: Vec<_> = errors.iter().map(|error| format!("  {error}")).collect();
    let count = if errors.len() == 1 { "1 error".to_owned() } else { format!("{} errors", errors.len()) };
    anyhow::anyhow!("{count} in {what}:\n{}", lines.join("\n"))
}
