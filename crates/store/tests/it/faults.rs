//! Processes that die, share, or run out of disk.

use std::io::BufRead;

use store::{StoreError, Stores};

use crate::child::{number, start};
use crate::history::{apply, check, identity, open, options};

#[test]
fn a_second_process_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, words) = start("hold", folder.path());
    assert!(words.lines().map_while(Result::ok).any(|line| line.contains("open")));
    for error in
        [open(folder.path()), Stores::open_anew(folder.path(), &identity(), &options())].map(Result::unwrap_err)
    {
        assert!(matches!(error, StoreError::InUse { .. }) && !error.is_unusable(), "{error}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let stores = open(folder.path()).unwrap();
    let handle = stores.partition(0).unwrap();
    drop(stores);
    assert!(matches!(open(folder.path()), Err(StoreError::InUse { .. })), "a handle holds it too");
    apply(&handle, 1).unwrap();
    drop(handle);
    assert_eq!(check(&open(folder.path()).unwrap().partition(0).unwrap()).unwrap(), 1);
}

#[test]
fn a_process_killed_while_it_writes_leaves_whole_batches_and_loses_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut before = 0;
    for round in 0..6 {
        let (mut child, mut words) = start("apply", folder.path());
        let mut said = 0;
        while said < before + 1 + round * 40 {
            said = number(&mut words).unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said after that.
        while let Some(batch) = number(&mut words) {
            said = batch;
        }
        before = check(&open(folder.path()).unwrap().partition(1).unwrap()).unwrap();
        assert!(before == said || before == said + 1, "it said {said}, and {before} are there");
    }
}

#[test]
fn a_full_disk_is_an_error_until_there_is_room_again() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, mut words) = start("full", folder.path());
    let said = number(&mut words);
    assert!(child.wait().unwrap().success(), "{:?}", words.lines().map_while(Result::ok).collect::<Vec<_>>());
    assert_eq!(check(&open(folder.path()).unwrap().partition(1).unwrap()).unwrap(), said.unwrap());
}
