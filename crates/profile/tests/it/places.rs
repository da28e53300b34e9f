//! Which place is known, learnt, refreshed, and which one leaves.

use model::Timestamp;
use profile::{Places, Point, Spot};

/// On the equator a degree is 111.195 km.
fn spot(longitude: f64, radius_km: u32) -> Spot {
    Spot { point: Point::from_degrees(0.5, longitude).unwrap(), radius_m: radius_km * 1000, city: None, country: None }
}

fn places(longitudes: &[f64]) -> Places {
    let mut places = Places::default();
    for (index, longitude) in longitudes.iter().enumerate() {
        places.learn(&spot(*longitude, 0), Timestamp(index as i64), 0.001, 100);
    }
    places
}

fn longitudes(places: &Places) -> Vec<f64> {
    places.stored.iter().map(|place| place.spot.point.longitude()).collect()
}

#[test]
fn a_place_below_the_floor_is_seen_again_and_keeps_its_point() {
    // 1 degree is 111.2 km; both radiuses are taken off.
    for (radius_km, added) in [(0, true), (11, true), (12, false), (200, false)] {
        let mut places = places(&[10.0]);
        places.learn(&spot(11.0, radius_km), Timestamp(5), 100.0, 10);
        assert_eq!(places.stored.len() == 2, added, "{radius_km} km");
        assert_eq!(longitudes(&places)[0], 10.0);
        assert_eq!(places.stored[0].last_seen.0, if added { 0 } else { 5 }, "{radius_km} km");
        let last = places.last.unwrap();
        assert_eq!((last.spot.point.longitude(), last.time.0), (11.0, 5), "the last place is where he was");
    }
}

#[test]
fn the_nearest_place_is_seen_again() {
    let mut known = places(&[10.0, 10.5, 11.0]);
    known.learn(&spot(10.6, 0), Timestamp(9), 100.0, 10);
    assert_eq!(known.stored.iter().map(|place| place.last_seen.0).collect::<Vec<_>>(), [0, 9, 2]);
    // Of equals the one added first; an older login does not make a place older.
    let mut known = places(&[10.0, 11.0]);
    known.learn(&spot(10.5, 0), Timestamp(-5), 100.0, 10);
    assert_eq!(known.stored.iter().map(|place| place.last_seen.0).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn the_one_seen_longest_ago_leaves() {
    let mut known = places(&[10.0, 20.0, 30.0]);
    known.learn(&spot(10.0, 0), Timestamp(9), 100.0, 10);
    known.learn(&spot(40.0, 0), Timestamp(10), 100.0, 3);
    assert_eq!(longitudes(&known), [10.0, 30.0, 40.0]);
    known.learn(&spot(50.0, 0), Timestamp(-1), 100.0, 3);
    assert_eq!(longitudes(&known), [10.0, 30.0, 40.0], "it may be the new one");
    assert_eq!(known.last.unwrap().time.0, 10, "the latest in time stays the last");
}

#[test]
fn an_equal_time_replaces_the_last_place() {
    let mut known = places(&[10.0]);
    known.learn(&spot(20.0, 0), Timestamp(0), 100.0, 10);
    assert_eq!(known.last.unwrap().spot.point.longitude(), 20.0);
}

#[test]
fn refreshing_adds_nothing() {
    let mut known = places(&[10.0]);
    known.refresh(&spot(20.0, 0), Timestamp(5), 100.0);
    assert_eq!((known.stored.len(), known.last.as_ref().unwrap().time.0), (1, 0));
    known.refresh(&spot(10.1, 0), Timestamp(5), 100.0);
    assert_eq!((known.stored.len(), known.last.as_ref().unwrap().time.0), (1, 5));
}

#[test]
fn known_within_a_time_in_either_direction() {
    let known = places(&[10.0]);
    for (time, within, is_known) in [(90, 90, true), (91, 90, false), (-90, 90, true), (-91, 90, false), (0, 0, true)] {
        assert_eq!(known.is_known(&spot(10.0, 0), Timestamp(time), within, 100.0), is_known, "{time}");
        assert_eq!(known.nearest_seen(&spot(10.0, 0), Timestamp(time), within).is_some(), is_known, "{time}");
    }
    assert!(!known.is_known(&spot(10.0, 0), Timestamp(0), 90, 0.0), "nothing is below a floor of 0");
}
