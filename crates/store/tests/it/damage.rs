//! Files that somebody or something has damaged: it is said so, and never taken for content.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use store::{LAYOUT_VERSION, StoreError, Stores};

use crate::history::{apply, check, identity, open, options};

const BATCHES: i64 = 60;

/// A store with tables and a journal.
fn make(folder: &Path) {
    let store = open(folder).unwrap().partition(1).unwrap();
    for batch in 1..=BATCHES {
        apply(&store, batch).unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    while store.sizes().unwrap().disk_bytes == 0 {
        assert!(Instant::now() < deadline, "no table was written");
        std::thread::yield_now();
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            files.extend(self::files(&entry.path()));
        } else {
            files.push(entry.path());
        }
    }
    files
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(file, target).unwrap();
    }
}

/// What becomes of a file.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Damage {
    Removed,
    Emptied,
    CutInHalf,
    /// Bytes are changed in the middle of its first part, where content is also in a sparse file.
    Garbled,
}

fn damage(file: &Path, kind: Damage) {
    let mut bytes = fs::read(file).unwrap();
    match kind {
        Damage::Removed => return fs::remove_file(file).unwrap(),
        Damage::Emptied => bytes.clear(),
        Damage::CutInHalf => bytes.truncate(bytes.len() / 2),
        Damage::Garbled => {
            let content = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            let end = (content / 2 + 64).min(content);
            bytes[content / 2..end].iter_mut().for_each(|byte| *byte ^= 0x5a);
        }
    }
    fs::write(file, bytes).unwrap();
}

#[test]
fn damaged_files_are_told_or_cost_the_last_batches_and_are_never_believed() {
    let made = tempfile::tempdir().unwrap();
    make(made.path());
    let names: Vec<PathBuf> =
        files(made.path()).iter().map(|file| file.strip_prefix(made.path()).unwrap().to_owned()).collect();
    let (mut told, mut shorter) = (0, 0);
    for name in &names {
        for kind in [Damage::Removed, Damage::Emptied, Damage::CutInHalf, Damage::Garbled] {
            let folder = tempfile::tempdir().unwrap();
            copy(made.path(), folder.path());
            damage(&folder.path().join(name), kind);
            let found = open(folder.path()).and_then(|stores| check(&stores.partition(1)?));
            match found {
                Ok(batches) => {
                    assert!(batches <= BATCHES, "{name:?} {kind:?}");
                    shorter += usize::from(batches < BATCHES);
                }
                Err(error) => {
                    assert!(error.is_unusable(), "{name:?} {kind:?}: {error}");
                    told += 1;
                }
            }
            let anew = Stores::open_anew(folder.path(), &identity(), &options()).unwrap();
            let store = anew.partition(1).unwrap();
            apply(&store, 1).unwrap();
            assert_eq!(check(&store).unwrap(), 1);
        }
    }
    assert!(told > 0 && shorter > 0, "told {told}, shorter {shorter}");
}

#[test]
fn another_layout_is_told_apart_from_damage() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).unwrap());
    let file = folder.path().join("identity.json");
    let identity = fs::read_to_string(&file).unwrap();
    let this = format!(r#""layout":{LAYOUT_VERSION}"#);
    assert!(identity.contains(&this), "{identity}");
    let (older, newer) = (LAYOUT_VERSION - 1, LAYOUT_VERSION + 1);
    for (text, expected) in [
        (identity.replace(&this, &format!(r#""layout":{older}"#)), format!("layout {older}")),
        (format!(r#"{{"layout":{newer},"of":"the future"}}"#), format!("layout {newer}")),
    ] {
        fs::write(&file, text).unwrap();
        let error = open(folder.path()).unwrap_err();
        assert!(matches!(error, StoreError::OtherLayout { .. }) && error.to_string().contains(&expected), "{error}");
    }
    // An older format of the database itself.
    fs::write(&file, identity).unwrap();
    let marker = folder.path().join("db/version");
    let mut bytes = fs::read(&marker).unwrap();
    *bytes.last_mut().unwrap() = 2;
    fs::write(&marker, bytes).unwrap();
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::OtherLayout { .. }), "{error}");
}
