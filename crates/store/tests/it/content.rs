//! What is written is read again.

use store::{StoreError, Stores};

use crate::history::{apply, check, content, identity, open, options};

#[test]
fn changes_and_their_position_are_there_after_a_reopening() {
    let folder = tempfile::tempdir().unwrap();
    for batches in [0, 1, 30] {
        let store = open(folder.path()).unwrap().partition(2).unwrap();
        for batch in check(&store).unwrap() + 1..=batches {
            apply(&store, batch).unwrap();
        }
        assert_eq!(check(&store).unwrap(), batches);
        assert_eq!(store.position().unwrap().is_some(), batches > 0);
    }
    let store = open(folder.path()).unwrap().partition(2).unwrap();
    assert_eq!(check(&store).unwrap(), 30);
    let (mut expected, key) = (content(&store).unwrap(), b"user-0037");
    assert_eq!(store.get(key).unwrap().map(|value| value.to_vec()), expected.remove(key.as_slice()));
    assert_eq!(store.get(b"nobody").unwrap(), None);
    assert!(store.sizes().unwrap().entries > 0);
}

#[test]
fn no_more_than_the_write_buffers_hold_waits_for_its_tables() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap().partition(1).unwrap();
    // Seven megabytes, and four buffers of one MiB.
    (1..=100).for_each(|batch| apply(&store, batch).unwrap());
    let sizes = store.sizes().unwrap();
    assert!(sizes.disk_bytes > 0, "{sizes:?}");
    assert_eq!(check(&store).unwrap(), 100);
}

#[test]
fn a_scan_goes_in_key_order_from_where_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap().partition(0).unwrap();
    let keys: [&[u8]; 5] = [b"\x01", b"a", b"a\0", b"b", b"\xff"];
    store.apply(keys.into_iter().rev().map(|key| (key, Some(key))), 7).unwrap();
    store.apply([(b"b".as_slice(), None)], 8).unwrap();
    let scan = |from: &[u8], limit| {
        let mut seen = Vec::new();
        store.scan(from, limit, |key, value| seen.push((key.to_vec(), value.to_vec()))).unwrap();
        assert!(seen.iter().all(|(key, value)| key == value));
        seen.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    assert_eq!(scan(b"", 10), [b"\x01".as_slice(), b"a", b"a\0", b"\xff"], "without the position");
    assert_eq!(scan(b"\0", 1), [b"\x01"]);
    assert_eq!(scan(b"a", 2), [b"a".as_slice(), b"a\0"]);
    assert_eq!(scan(b"a\0\0", 2), [b"\xff"]);
    assert_eq!(scan(b"\xff\0", 2), Vec::<Vec<u8>>::new());
    assert_eq!(scan(b"", 0), Vec::<Vec<u8>>::new());
}

#[test]
fn partitions_are_apart_and_one_is_cleared_alone() {
    let folder = tempfile::tempdir().unwrap();
    let stores = open(folder.path()).unwrap();
    let [a, b] = [0, 3].map(|partition| stores.partition(partition).unwrap());
    for batch in 1..=40 {
        apply(&a, batch).unwrap();
        apply(&b, batch).unwrap();
    }
    a.clear().unwrap();
    assert_eq!((a.position().unwrap(), content(&a).unwrap().len()), (None, 0));
    assert_eq!(check(&b).unwrap(), 40);
    for batch in 1..=3 {
        apply(&a, batch).unwrap();
    }
    drop((a, b, stores));
    let stores = open(folder.path()).unwrap();
    assert_eq!(check(&stores.partition(0).unwrap()).unwrap(), 3);
    assert_eq!(check(&stores.partition(3).unwrap()).unwrap(), 40);
    assert!(matches!(stores.partition(4), Err(StoreError::NoSuchPartition { partition: 4, partitions: 4 })));
    assert!(stores.disk_bytes().unwrap() > 0);
}

#[test]
fn keys_that_cannot_be_stored_are_refused_and_nothing_of_their_batch_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap().partition(0).unwrap();
    apply(&store, 1).unwrap();
    let long = vec![b'k'; 65_536];
    for key in [b"".as_slice(), b"\0", b"\0more", &long] {
        let changes = [(b"new".as_slice(), Some(b"value".as_slice())), (key, Some(b"value"))];
        let error = store.apply(changes, 2).unwrap_err();
        assert!(matches!(error, StoreError::BadKey { length } if length == key.len()), "{error}");
        assert_eq!(store.get(key).unwrap(), None);
    }
    store.apply([(&long[1..], Some(b"value".as_slice())), (&long[1..], None)], 1).unwrap();
    assert_eq!(check(&store).unwrap(), 1);
}

#[test]
fn a_store_of_something_else_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    apply(&open(folder.path()).unwrap().partition(0).unwrap(), 1).unwrap();
    let others = [
        ("cluster cluster-1, not cluster-2", store::Identity { cluster_id: "cluster-2".to_owned(), ..identity() }),
        ("topic credence-profiles, not other", store::Identity { topic: "other".to_owned(), ..identity() }),
        ("4 partitions, not 5", store::Identity { partitions: 5, ..identity() }),
        ("another key for hashes", store::Identity { key_check: "key-2".to_owned(), ..identity() }),
    ];
    for (words, other) in others {
        let error = Stores::open(folder.path(), &other, &options()).unwrap_err();
        assert!(matches!(&error, StoreError::OtherIdentity { difference, .. } if difference == words), "{error}");
        assert!(error.is_unusable());
    }
    assert_eq!(check(&open(folder.path()).unwrap().partition(0).unwrap()).unwrap(), 1, "nothing was touched");
    let anew = Stores::open_anew(folder.path(), &identity(), &options()).unwrap();
    assert_eq!(anew.partition(0).unwrap().position().unwrap(), None);
}
