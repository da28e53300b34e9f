//! Files to a snapshot: all of them, or none and every reason why.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use model::Confidence;
use model::assessment::Category;
use model::evidence::DataVersions;
use sha2::{Digest, Sha256};

use crate::agents::Agents;
use crate::databases::Database;
use crate::deny_lists::{DenyLists, ListIdentity, MAX_LISTS, NetworkSet};
use crate::list_format::{ParsedList, parse_list};
use crate::snapshot::{ANONYMOUS_IP, Content, Snapshot, Source, SourceInfo};

/// Largest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// A deny list of the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct DenyListSource {
    /// Its name; files of one name are one list.
    pub name: String,
    /// What it lists.
    pub category: Category,
    /// Where it is.
    pub path: PathBuf,
    /// A confidence of its own.
    pub confidence: Option<Confidence>,
}

/// Which files to load.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sources {
    /// The City database.
    pub city: Option<PathBuf>,
    /// The ASN database.
    pub asn: Option<PathBuf>,
    /// The Anonymous-IP database.
    pub anonymous: Option<PathBuf>,
    /// Deny lists.
    pub deny_lists: Vec<DenyListSource>,
    /// Relay lists.
    pub relay_lists: Vec<PathBuf>,
    /// Start without the sources that cannot be loaded.
    pub degrade: bool,
}

impl Sources {
    /// The files, each once.
    #[must_use]
    pub fn paths(&self) -> Vec<&Path> {
        let databases = [&self.city, &self.asn, &self.anonymous].into_iter().flatten();
        let lists = self.deny_lists.iter().map(|list| &list.path).chain(&self.relay_lists);
        let mut paths: Vec<&Path> = databases.chain(lists).map(PathBuf::as_path).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }
}

/// A source cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be used.
    #[error("{what} {path}: {why}")]
    File {
        /// What it was to be.
        what: String,
        /// Where it is.
        path: String,
        /// Why it cannot be used, and what to do.
        why: String,
    },
    /// Files of one name are one list and must agree.
    #[error("deny list `{0}`: files of one name are one list and must agree in category and confidence")]
    Disagreement(String),
    /// A name that means something else.
    #[error("deny list `{ANONYMOUS_IP}`: that name is the Anonymous-IP database's; choose another")]
    ReservedName,
    /// A list without a name.
    #[error("a deny list needs a name of 1 to 100 bytes")]
    BadName,
    /// Too many lists.
    #[error("more than {MAX_LISTS} deny lists; join lists of one category")]
    TooManyLists,
}

/// A loaded snapshot, and what there is to say about it.
#[derive(Debug)]
pub struct Loaded {
    /// The data.
    pub snapshot: Snapshot,
    /// What was loaded.
    pub sources: Vec<SourceInfo>,
    /// What an operator should know: lines without an entry, sources left out.
    pub warnings: Vec<String>,
}

struct Loader {
    degrade: bool,
    errors: Vec<LoadError>,
    warnings: Vec<String>,
    sources: Vec<SourceInfo>,
}

/// Loads all sources.
///
/// # Errors
/// All reasons why not, at once. With `degrade` a file that cannot be used is a warning, and what
/// depends on it has failed.
pub fn load(sources: &Sources, agents: Agents) -> Result<Loaded, Vec<LoadError>> {
    let mut loader = Loader { degrade: sources.degrade, errors: Vec::new(), warnings: Vec::new(), sources: Vec::new() };
    let (city, city_version) = loader.database("city", sources.city.as_deref());
    let (asn, asn_version) = loader.database("asn", sources.asn.as_deref());
    let (anonymous, anonymous_version) = loader.database(ANONYMOUS_IP, sources.anonymous.as_deref());
    let (deny_lists, deny_version) = loader.deny_lists(&sources.deny_lists);
    let (relays, relay_version) = loader.relay_lists(&sources.relay_lists);
    if !loader.errors.is_empty() {
        return Err(loader.errors);
    }
    let versions = DataVersions {
        city: city_version,
        asn: asn_version,
        anonymous_ip: anonymous_version,
        deny_lists: deny_version,
        relay_lists: relay_version,
        settings: None,
    };
    let content = Content { city, asn, anonymous, deny_lists, relays, versions };
    Ok(Loaded { snapshot: Snapshot::new(content, agents), sources: loader.sources, warnings: loader.warnings })
}

impl Loader {
    fn failed(&mut self, error: LoadError) {
        if self.degrade {
            self.warnings.push(format!("started without it: {error}"));
        } else {
            self.errors.push(error);
        }
    }

    fn database(&mut self, name: &str, path: Option<&Path>) -> (Source<Database>, Option<Arc<str>>) {
        let Some(path) = path else { return (Source::Absent, None) };
        let what = format!("{name} database");
        let loaded = read(path).and_then(|file| {
            let version = digest(&[&file.bytes]);
            Database::new(file.bytes).map(|database| (database, version)).map_err(|error| error.to_string())
        });
        match loaded {
            Ok((database, version)) => {
                self.sources.push(SourceInfo {
                    name: name.to_owned(),
                    version: version.to_string(),
                    made_at_s: database.build_epoch(),
                    entries: None,
                });
                (Source::Ready(database), Some(version))
            }
            Err(why) => {
                self.failed(LoadError::File { what, path: path.display().to_string(), why });
                (Source::Unavailable, None)
            }
        }
    }

    /// Reads a list file and tells what is to be said about it.
    fn list(&mut self, what: &str, path: &Path) -> Option<(ParsedList, Arc<str>, u64)> {
        let loaded = read(path).and_then(|file| {
            let list = parse_list(&file.bytes);
            if list.entries.is_empty() {
                return Err(
                    "no line holds an address or a network; is it an error page or a truncated download?".into()
                );
            }
            Ok((list, digest(&[&file.bytes]), file.modified_s))
        });
        match loaded {
            Ok((list, version, modified_s)) => {
                if list.other_lines > 0 {
                    let named: Vec<_> =
                        list.named_lines.iter().map(|(number, text)| format!("line {number}: {text:?}")).collect();
                    self.warnings.push(format!(
                        "{what} {}: {} lines hold neither an entry nor a comment, {}",
                        path.display(),
                        list.other_lines,
                        named.join(", ")
                    ));
                }
                Some((list, version, modified_s))
            }
            Err(why) => {
                self.failed(LoadError::File { what: what.to_owned(), path: path.display().to_string(), why });
                None
            }
        }
    }

    fn deny_lists(&mut self, sources: &[DenyListSource]) -> (Source<DenyLists>, Option<Arc<str>>) {
        let mut identities: BTreeMap<&str, (Category, Option<Confidence>)> = BTreeMap::new();
        for source in sources {
            if source.name.is_empty() || source.name.len() > 100 {
                self.errors.push(LoadError::BadName);
            }
            if source.name == ANONYMOUS_IP {
                self.errors.push(LoadError::ReservedName);
            }
            let identity = (source.category, source.confidence);
            if *identities.entry(&source.name).or_insert(identity) != identity {
                self.errors.push(LoadError::Disagreement(source.name.clone()));
            }
        }
        if identities.len() > MAX_LISTS {
            self.errors.push(LoadError::TooManyLists);
        }
        if sources.is_empty() {
            return (Source::Absent, None);
        }
        let mut lists = DenyLists::default();
        let mut parts: Vec<String> = Vec::new();
        for source in sources {
            let what = format!("deny list `{}`", source.name);
            let Some((list, version, modified_s)) = self.list(&what, &source.path) else { continue };
            let identity = ListIdentity {
                name: source.name.as_str().into(),
                category: source.category,
                confidence: source.confidence,
            };
            lists.add(identity, &list.entries);
            let confidence = source.confidence.map_or("", Confidence::as_str);
            parts.push(format!("{}\0{}\0{confidence}\0{version}", source.name, source.category.as_str()));
            self.note_list(&source.name, &version, modified_s, list.entries.len());
        }
        if lists.is_empty() {
            return (Source::Unavailable, None);
        }
        (Source::Ready(lists), Some(joint_version(parts)))
    }

    fn relay_lists(&mut self, paths: &[PathBuf]) -> (NetworkSet, Option<Arc<str>>) {
        let mut relays = NetworkSet::default();
        let mut parts = Vec::new();
        for path in paths {
            let Some((list, version, modified_s)) = self.list("relay list", path) else { continue };
            relays.add(&list.entries);
            parts.push(version.to_string());
            self.note_list("relay", &version, modified_s, list.entries.len());
        }
        let version = (!parts.is_empty()).then(|| joint_version(parts));
        (relays, version)
    }

    /// Files of one list are shown as one: their entries added up, the age of the oldest.
    fn note_list(&mut self, name: &str, version: &str, modified_s: u64, entries: usize) {
        match self.sources.iter_mut().find(|info| info.name == name && info.entries.is_some()) {
            Some(info) => {
                info.entries = info.entries.map(|known| known + entries);
                info.made_at_s = info.made_at_s.min(modified_s);
                info.version = digest(&[info.version.as_bytes(), version.as_bytes()]).to_string();
            }
            None => self.sources.push(SourceInfo {
                name: name.to_owned(),
                version: version.to_owned(),
                made_at_s: modified_s,
                entries: Some(entries),
            }),
        }
    }
}

/// One version of several lists, whatever their order.
fn joint_version(mut parts: Vec<String>) -> Arc<str> {
    parts.sort_unstable();
    digest_of(&parts)
}

/// The version of a list of texts in their order.
#[must_use]
pub fn digest_of(parts: &[String]) -> Arc<str> {
    let parts: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
    digest(&parts)
}

/// The first 64 bits of SHA-256, in hexadecimal digits.
fn digest(parts: &[&[u8]]) -> Arc<str> {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
        if parts.len() > 1 {
            hasher.update([0]);
        }
    }
    let hash = hasher.finalize();
    hash[..8].iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

struct File {
    bytes: Vec<u8>,
    modified_s: u64,
}

fn read(path: &Path) -> Result<File, String> {
    let read = || {
        let file = fs::File::open(path)?;
        let metadata = file.metadata()?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Ok(File { bytes, modified_s: modified.map_or(0, |time| time.as_secs()) })
    };
    let file = read().map_err(|error: std::io::Error| format!("cannot be read: {error}"))?;
    match file.bytes.len() as u64 {
        0 => Err("the file is empty".to_owned()),
        length if length > MAX_FILE_BYTES => Err(format!("larger than {MAX_FILE_BYTES} bytes")),
        _ => Ok(file),
    }
}
