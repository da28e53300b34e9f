//! The rules of batches, partitions and announcements, case by case.

use super::*;

/// Partitions 0 and 1 are served from the start.
fn serving() -> Lanes {
    let mut lanes = Lanes::new(10);
    for partition in [0, 1] {
        lanes.assign(partition);
        assert!(lanes.restored(partition, None, 0..0));
    }
    lanes
}

fn commit(lanes: &mut Lanes) -> Vec<NextOffset> {
    let sealed = lanes.seal().unwrap_or_default();
    let commit = lanes.ready().filter(|commit| commit.batch == sealed);
    lanes.committed(sealed);
    commit.map(|commit| commit.offsets).unwrap_or_default()
}

#[test]
fn a_partition_is_served_when_its_state_is_complete() {
    let mut lanes = Lanes::new(10);
    assert_eq!(lanes.admit(0, 5), Admission::NotServed);
    lanes.assign(0);
    assert_eq!(lanes.admit(0, 5), Admission::NotServed);
    assert!(lanes.restoring().eq([0]));
    assert!(lanes.restored(0, Some(5), 0..5));
    assert_eq!((lanes.admit(0, 5), lanes.admit(0, 4)), (Admission::Handle, Admission::Repeated));
    lanes.handled(0, 5, 0);
    assert_eq!((lanes.admit(0, 5), lanes.admit(0, 6)), (Admission::Repeated, Admission::Handle));
    lanes.revoke(0);
    assert!(!lanes.restored(0, Some(5), 0..5), "given up meanwhile");
    assert_eq!(lanes.admit(0, 6), Admission::NotServed);
}

#[test]
fn a_batch_waits_for_its_fast_outputs() {
    let mut lanes = serving();
    let first = lanes.open();
    lanes.handled(0, 9, 2);
    lanes.handled(1, 4, 0);
    assert_eq!(lanes.seal(), Some(first));
    assert_eq!(lanes.ready(), None);
    lanes.handled(0, 10, 1);
    assert_eq!(lanes.seal(), None, "one batch at a time");
    lanes.acknowledged(first);
    assert_eq!(lanes.ready(), None);
    lanes.acknowledged(first);
    assert_eq!(lanes.ready(), Some(Commit { batch: first, offsets: vec![(0, 10), (1, 5)] }));
    assert_eq!(lanes.ready(), None, "given out once");
    lanes.committed(first);
    let second = lanes.open();
    assert_eq!(lanes.seal(), Some(second));
    lanes.acknowledged(second);
    assert_eq!(lanes.ready(), Some(Commit { batch: second, offsets: vec![(0, 11)] }));
    lanes.committed(second);
    assert!(lanes.is_settled() && lanes.is_settled_for(0));
}

#[test]
fn a_rewind_goes_back_to_the_last_commit() {
    let mut lanes = serving();
    lanes.handled(0, 0, 0);
    assert_eq!(commit(&mut lanes), [(0, 1)]);
    let stale = lanes.open();
    lanes.handled(0, 1, 1);
    lanes.handled(1, 0, 1);
    assert!(lanes.seal().is_some());
    lanes.handled(0, 2, 1);
    assert!(!lanes.is_settled_for(0));
    assert_eq!(lanes.rewind(), [(0, Some(1)), (1, None)]);
    assert!(lanes.is_settled());
    assert_eq!(lanes.admit(0, 1), Admission::Handle);
    // What the forgotten batches sent is acknowledged late and counts for nothing.
    lanes.handled(0, 1, 1);
    let batch = lanes.open();
    lanes.acknowledged(stale);
    lanes.acknowledged(stale + 1);
    assert_eq!(lanes.seal(), Some(batch));
    assert_eq!(lanes.ready(), None);
    lanes.committed(stale);
    assert!(lanes.is_committing(), "a late word about a forgotten batch");
    lanes.acknowledged(batch);
    assert_eq!(lanes.ready(), Some(Commit { batch, offsets: vec![(0, 2)] }));
}

#[test]
fn a_batch_that_was_aborted_is_given_out_again() {
    let mut lanes = serving();
    lanes.handled(0, 0, 0);
    let batch = lanes.seal().unwrap_or_default();
    assert!(!lanes.aborted(batch), "it was not given out yet");
    let given = lanes.ready();
    lanes.handled(1, 0, 0);
    assert!(!lanes.aborted(batch + 1) && lanes.aborted(batch));
    assert_eq!(lanes.seal(), None, "it is still on its way");
    assert_eq!(lanes.sealed_offsets(), [(0, 1)]);
    assert_eq!(lanes.ready(), given);
    lanes.committed(batch);
    assert_eq!(commit(&mut lanes), [(1, 1)]);
}

#[test]
fn a_batch_with_a_partition_that_is_gone_is_not_given_out_again() {
    let mut lanes = serving();
    lanes.handled(0, 0, 0);
    lanes.handled(1, 0, 0);
    let batch = lanes.seal().unwrap_or_default();
    assert!(lanes.ready().is_some());
    lanes.revoke(0);
    assert!(!lanes.aborted(batch));
    assert_eq!(lanes.rewind(), [(1, None)]);
    assert!(!lanes.aborted(batch), "forgotten");
    // Of one that was never served the batch holds nothing.
    lanes.assign(2);
    lanes.handled(1, 0, 0);
    let batch = lanes.seal().unwrap_or_default();
    assert!(lanes.ready().is_some());
    lanes.revoke(2);
    assert!(lanes.aborted(batch));
}

#[test]
fn a_restart_restores_everything() {
    let mut lanes = serving();
    lanes.handled(0, 0, 0);
    lanes.seal();
    assert!(lanes.ready().is_some());
    assert_eq!(lanes.restart(), [0, 1]);
    assert_eq!(lanes.admit(0, 1), Admission::NotServed);
    assert!(lanes.restored(0, Some(1), 0..1));
    assert_eq!(lanes.admit(0, 0), Admission::Repeated);
    assert!(lanes.restoring().eq([1]));
}

#[test]
fn a_partition_is_not_settled_while_any_batch_is_on_its_way() {
    let mut lanes = serving();
    lanes.handled(1, 0, 0);
    assert!(lanes.is_settled_for(0));
    let batch = lanes.seal().unwrap_or_default();
    assert!(!lanes.is_settled_for(0), "its state may have changed in this batch without a record");
    assert!(lanes.ready().is_some());
    lanes.committed(batch);
    assert!(lanes.is_settled_for(0) && lanes.is_settled_for(1));
}

#[test]
fn a_revoked_partition_is_not_committed() {
    let mut lanes = serving();
    lanes.handled(0, 0, 0);
    lanes.handled(1, 0, 0);
    let batch = lanes.seal();
    lanes.revoke(0);
    assert_eq!(lanes.ready().map(|commit| commit.offsets), Some(vec![(1, 1)]));
    lanes.committed(batch.unwrap_or_default());
    assert!(lanes.assigned().eq([1]));
}

/// Partition 0, with a committed offset and what its source held.
fn replaying(committed: Option<i64>, source: Range<i64>) -> Lanes {
    let mut lanes = Lanes::new(10);
    lanes.assign(0);
    assert!(lanes.restored(0, committed, source));
    lanes
}

#[test]
fn an_announcement_stops_handling_until_it_is_stored() {
    let mut lanes = serving();
    lanes.handled(0, 0, 1);
    let batch = lanes.seal_announcement().unwrap_or_default();
    assert_eq!(lanes.admit(0, 0), Admission::Repeated);
    for partition in [0, 1] {
        assert_eq!(lanes.admit(partition, 1), Admission::Later);
    }
    assert_eq!((lanes.seal(), lanes.seal_announcement()), (None, None));
    assert_eq!(lanes.ready(), None, "it waits for its fast outputs like any other");
    lanes.acknowledged(batch);
    assert_eq!(lanes.ready(), Some(Commit { batch, offsets: vec![(0, 1), (1, 0)] }));
    assert!(!lanes.is_settled_for(0) && !lanes.is_settled());
    lanes.committed(batch);
    assert!(lanes.is_settled_for(0) && lanes.is_settled_for(1) && lanes.is_settled());
    assert_eq!(lanes.admit(0, 1), Admission::Later);
    assert_eq!(lanes.seal_announcement(), None, "one at a time");
    lanes.stored(batch - 1);
    assert!(lanes.is_announcing());
    lanes.stored(batch);
    assert_eq!((lanes.admit(0, 1), lanes.admit(1, 0)), (Admission::Handle, Admission::Handle));
    // What was never committed is committed now, and a rewind goes there.
    lanes.handled(1, 0, 0);
    assert_eq!(lanes.rewind(), [(1, Some(0))]);
}

#[test]
fn an_announcement_without_records_names_every_partition_that_is_served() {
    let mut lanes = Lanes::new(10);
    assert_eq!(lanes.seal_announcement(), None, "there is nobody to tell");
    for (partition, committed, source) in [(0, Some(7), 3..7), (1, None, 4..4), (2, None, 0..0)] {
        lanes.assign(partition);
        assert!(partition == 2 || lanes.restored(partition, committed, source));
    }
    let batch = lanes.seal_announcement();
    assert_eq!(lanes.ready().map(|commit| commit.offsets), Some(vec![(0, 7), (1, 4)]));
    lanes.committed(batch.unwrap_or_default());
    // A partition that is restored meanwhile waits with the others.
    assert!(lanes.restored(2, None, 0..0));
    assert_eq!(lanes.admit(2, 0), Admission::Later);
    lanes.revoke(0);
    lanes.stored(batch.unwrap_or_default());
    assert_eq!(lanes.admit(2, 0), Admission::Handle);
}

#[test]
fn an_announcement_waits_until_the_replay_is_over() {
    // Committed offset, what the source holds, and the offset of the first record that news may reach, where
    // each offset from the committed one on holds a record. Batches hold 10 records.
    let table = [
        (Some(5), 0..5, 5),
        (Some(5), 0..9, 9),
        (Some(5), 0..25, 25),
        (Some(5), 0..26, 25),
        (Some(5), 0..i64::MAX, 25),
        // Skipped on purpose, beyond the end of the source.
        (Some(5), 0..2, 5),
        (None, 0..0, 0),
        (None, 7..7, 7),
        (None, 7..9, 9),
        (None, 7..900, 27),
    ];
    for (committed, source, due) in table {
        let mut lanes = replaying(committed, source.clone());
        let mut next = committed.unwrap_or(source.start);
        while lanes.is_replaying() {
            assert_eq!(lanes.seal_announcement(), None);
            lanes.handled(0, next, 0);
            commit(&mut lanes);
            next += 1;
        }
        assert_eq!(next, due, "{committed:?} {source:?}");
        assert!(lanes.seal_announcement().is_some());
    }
}

#[test]
fn offsets_without_records_do_not_keep_news_waiting() {
    let mut lanes = replaying(Some(5), 0..9);
    lanes.handled(0, 5, 0);
    lanes.reached(0, 8);
    assert!(lanes.is_replaying());
    lanes.reached(0, 9);
    assert!(lanes.seal_announcement().is_some());
}

#[test]
fn a_rewind_is_handled_again_before_anything_is_announced() {
    let mut lanes = serving();
    lanes.handled(0, 0, 0);
    commit(&mut lanes);
    lanes.handled(0, 1, 0);
    assert!(lanes.seal().is_some());
    // A gap, and an open batch.
    lanes.handled(0, 5, 0);
    assert_eq!(lanes.rewind(), [(0, Some(1))]);
    for offset in [1, 5] {
        assert_eq!(lanes.seal_announcement(), None);
        lanes.handled(0, offset, 0);
    }
    let batch = lanes.seal_announcement();
    // The announcement itself is rewound, and announced again when its records have been handled again.
    assert!(lanes.ready().is_some() && lanes.is_announcing());
    assert_eq!(lanes.rewind(), [(0, Some(1)), (1, None)]);
    lanes.committed(batch.unwrap_or_default());
    assert!(!lanes.is_announcing() && lanes.is_replaying());
    assert_eq!(lanes.admit(0, 1), Admission::Handle);
    lanes.handled(0, 1, 0);
    lanes.handled(0, 5, 0);
    assert_eq!(lanes.seal_announcement(), batch.map(|batch| batch + 3));
}

#[test]
fn a_rewind_does_not_shorten_a_replay() {
    let mut lanes = replaying(Some(0), 0..100);
    for offset in 0..15 {
        lanes.handled(0, offset, 0);
    }
    assert_eq!(lanes.rewind(), [(0, Some(0))]);
    for offset in 0..20 {
        assert_eq!(lanes.seal_announcement(), None, "{offset}");
        lanes.handled(0, offset, 0);
    }
    assert!(lanes.seal_announcement().is_some());
}

#[test]
fn a_restart_ends_an_announcement() {
    let mut lanes = serving();
    assert!(lanes.seal_announcement().is_some());
    lanes.restart();
    assert!(!lanes.is_announcing());
    assert!(lanes.restored(0, Some(0), 0..3));
    assert_eq!((lanes.admit(0, 0), lanes.seal_announcement()), (Admission::Handle, None));
}
