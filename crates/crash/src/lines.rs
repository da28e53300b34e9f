//! Reading a file line by line.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use crate::error::{CrashError, io_error};

/// Calls `with` for each line, numbered from 1, without its line feed. Ends at its first error.
pub(crate) fn each(
    path: &Path,
    mut with: impl FnMut(usize, &[u8]) -> Result<(), CrashError>,
) -> Result<(), CrashError> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path).map_err(io_error("open", path))?);
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        if file.read_until(b'\n', &mut line).map_err(io_error("read", path))? == 0 {
            return Ok(());
        }
        number += 1;
        with(number, line.strip_suffix(b"\n").unwrap_or(&line))?;
    }
}
