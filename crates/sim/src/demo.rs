//! The databases and lists as files in a folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, databases, lists};

/// Where the sample data of the small world lies once it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demo {
    /// City database.
    pub city: PathBuf,
    /// ASN database.
    pub asn: PathBuf,
    /// Anonymous-IP database.
    pub anonymous: PathBuf,
    /// Deny lists.
    pub deny_lists: Vec<DenyListFile>,
    /// Relay lists.
    pub relay_lists: Vec<PathBuf>,
}

/// A deny list on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DenyListFile {
    /// Name of the list.
    pub name: &'static str,
    /// Category of the list.
    pub category: &'static str,
    /// The file.
    pub path: PathBuf,
}

impl Demo {
    /// Writes all databases and lists into a folder, which is made where it is missing. Files of
    /// the same names are replaced.
    pub fn write(folder: &Path) -> Result<Demo, Error> {
        fs::create_dir_all(folder).map_err(|source| Error::Write { path: folder.to_owned(), source })?;
        let city = write(folder, "city.mmdb", &databases::city()?)?;
        let asn = write(folder, "asn.mmdb", &databases::asn()?)?;
        let anonymous = write(folder, "anonymous-ip.mmdb", &databases::anonymous_ip()?)?;
        let mut deny_lists = Vec::new();
        for list in lists::deny_lists() {
            deny_lists.push(DenyListFile {
                name: list.name,
                category: list.category,
                path: write(folder, list.file_name, list.text.as_bytes())?,
            });
        }
        let relay = write(folder, lists::RELAY_FILE_NAME, lists::relay_csv().as_bytes())?;
        Ok(Demo { city, asn, anonymous, deny_lists, relay_lists: vec![relay] })
    }
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, Error> {
    let path = folder.join(name);
    match fs::write(&path, bytes) {
        Ok(()) => Ok(path),
        Err(source) => Err(Error::Write { path, source }),
    }
}
