//! What a store is a copy of: a small file beside the database, so that it can be read whatever wrote the
//! rest.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::StoreError;

/// Version of the layout on disk: of this file, the folders, the keys beside those of users, and what the database
/// keeps of the options that its keyspaces were made with.
pub const LAYOUT_VERSION: u32 = 2;

const FILE: &str = "identity.json";
const NEW_FILE: &str = "identity.json.new";

/// What a store is a copy of. Content of anything else is unusable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Id of the cluster.
    pub cluster_id: String,
    /// Name of the changelog topic.
    pub topic: String,
    /// Its number of partitions.
    pub partitions: u32,
    /// A value that is different when the keys of hashes inside the values are.
    pub key_check: String,
}

impl Identity {
    /// What is different in another one, in words; none where nothing is.
    fn difference(&self, found: &Self) -> Option<String> {
        let Self { cluster_id, topic, partitions, key_check } = found;
        let differences = [
            (*cluster_id != self.cluster_id).then(|| format!("cluster {cluster_id}, not {}", self.cluster_id)),
            (*topic != self.topic).then(|| format!("topic {topic}, not {}", self.topic)),
            (*partitions != self.partitions).then(|| format!("{partitions} partitions, not {}", self.partitions)),
            (*key_check != self.key_check).then(|| "another key for hashes".to_owned()),
        ];
        let differences: Vec<String> = differences.into_iter().flatten().collect();
        (!differences.is_empty()).then(|| differences.join(", "))
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    layout: u32,
    #[serde(flatten)]
    identity: Identity,
}

/// Of any layout.
#[derive(Deserialize)]
struct AnyLayout {
    layout: u32,
}

/// Whether there is an identity, and the expected one.
pub(crate) fn check(folder: &Path, expected: &Identity) -> Result<bool, StoreError> {
    let corrupt = |problem| StoreError::Corrupt { folder: folder.to_owned(), problem };
    let bytes = match fs::read(folder.join(FILE)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(StoreError::Io { folder: folder.to_owned(), doing: "reading its identity", source }),
    };
    let unreadable = |error: serde_json::Error| corrupt(format!("{FILE} cannot be read: {error}"));
    let AnyLayout { layout } = serde_json::from_slice(&bytes).map_err(unreadable)?;
    if layout != LAYOUT_VERSION {
        return Err(StoreError::OtherLayout {
            folder: folder.to_owned(),
            found: layout.to_string(),
            expected: LAYOUT_VERSION.to_string(),
        });
    }
    let found: Stored = serde_json::from_slice(&bytes).map_err(unreadable)?;
    match expected.difference(&found.identity) {
        Some(difference) => Err(StoreError::OtherIdentity { folder: folder.to_owned(), difference }),
        None => Ok(true),
    }
}

/// Writes it, whole or not at all.
pub(crate) fn write(folder: &Path, identity: &Identity) -> io::Result<()> {
    let stored = Stored { layout: LAYOUT_VERSION, identity: identity.clone() };
    let mut file = File::create(folder.join(NEW_FILE))?;
    file.write_all(&serde_json::to_vec(&stored)?)?;
    file.sync_all()?;
    fs::rename(folder.join(NEW_FILE), folder.join(FILE))?;
    File::open(folder)?.sync_all()
}

/// Removes it, where there is one.
pub(crate) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_file(folder.join(FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => File::open(folder)?.sync_all(),
    }
}
