//! Tests that need another process: this very program, told by its environment what to do.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::process::{Resource, Rlimit, setrlimit};
use signal_hook::consts::SIGXFSZ;
use store::StoreError;

use crate::history::{apply, check, open};

const ROLE: &str = "STORE_TEST_ROLE";
const FOLDER: &str = "STORE_TEST_FOLDER";

/// Starts this program in a role; what it has to say comes on its standard error.
pub(crate) fn start(role: &str, folder: &Path) -> (Child, BufReader<ChildStderr>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child::in_a_role", "--exact", "--nocapture"])
        .env(ROLE, role)
        .env(FOLDER, folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let words = BufReader::new(child.stderr.take().unwrap());
    (child, words)
}

/// Does nothing but in a process that was started for it.
#[test]
fn in_a_role() {
    let (Ok(role), Some(folder)) = (std::env::var(ROLE), std::env::var_os(FOLDER)) else { return };
    let folder = PathBuf::from(folder);
    match role.as_str() {
        "hold" => hold(&folder),
        "apply" => apply_for_ever(&folder),
        "full" => disk_full(&folder),
        other => panic!("{other} is no role"),
    }
}

/// Keeps the store open until its standard input ends.
fn hold(folder: &Path) {
    let _stores = open(folder).unwrap();
    eprintln!("open");
    std::io::stdin().lines().count();
}

/// Applies one batch after another and says so, until it is killed or its standard error is closed.
fn apply_for_ever(folder: &Path) {
    use std::io::Write;
    let store = open(folder).unwrap().partition(1).unwrap();
    for batch in check(&store).unwrap() + 1.. {
        apply(&store, batch).unwrap();
        if writeln!(std::io::stderr(), "{batch}").is_err() {
            return;
        }
    }
}

fn limit_file_size(bytes: Option<u64>) {
    setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

/// A file system that takes no more than 1 MiB a file stands for a full disk.
fn disk_full(folder: &Path) {
    // Its default is the end of the process.
    signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).unwrap();
    let store = open(folder).unwrap().partition(1).unwrap();
    for batch in 1..=5 {
        apply(&store, batch).unwrap();
    }
    limit_file_size(Some(1 << 20));
    let (failed, error) = (6..1_000).find_map(|batch| Some((batch, apply(&store, batch).err()?))).unwrap();
    assert!(matches!(error, StoreError::Io { .. } | StoreError::Broken { .. }), "{error}");
    for _ in 0..3 {
        let error = apply(&store, failed).unwrap_err();
        assert!(matches!(error, StoreError::Io { .. }), "{error}");
        assert_eq!(check(&store).unwrap(), failed - 1, "reading goes on");
    }
    limit_file_size(None);
    for batch in failed..failed + 100 {
        apply(&store, batch).unwrap();
        if batch == failed {
            assert_eq!(check(&store).unwrap(), failed);
        }
    }
    eprintln!("{}", check(&store).unwrap());
}

/// The next line that is a number.
pub(crate) fn number(words: &mut BufReader<ChildStderr>) -> Option<i64> {
    words.lines().map_while(Result::ok).find_map(|line| line.trim().parse().ok())
}
