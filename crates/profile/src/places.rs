//! The places that a user is known at.

use model::Timestamp;

use crate::devices::remove_first_min;
use crate::geometry::Spot;

/// Where the latest learned login was.
#[derive(Debug, Clone, PartialEq)]
pub struct LastPlace {
    /// Where.
    pub spot: Spot,
    /// When.
    pub time: Timestamp,
}

/// A place that the user was seen at.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredPlace {
    /// Where; the point and radius of the first login there.
    pub spot: Spot,
    /// When the user was last seen there.
    pub last_seen: Timestamp,
}

/// A user's places.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Places {
    /// Where the latest learned login was.
    pub last: Option<LastPlace>,
    /// Stored places, in the order in which they were added.
    pub stored: Vec<StoredPlace>,
}

impl Places {
    /// The nearest stored place that was seen not more than `within_ms` away in time; of equals the one
    /// added first.
    #[must_use]
    pub fn nearest_seen(&self, spot: &Spot, time: Timestamp, within_ms: i64) -> Option<&StoredPlace> {
        let seen = self.stored.iter().filter(|place| place.last_seen.distance_ms(time) <= within_ms);
        seen.min_by(|a, b| distance(a, spot).total_cmp(&distance(b, spot)))
    }

    /// Whether the user is known at this spot: a stored place seen not more than `within_ms` away in
    /// time whose effective distance is below the floor.
    #[must_use]
    pub fn is_known(&self, spot: &Spot, time: Timestamp, within_ms: i64, floor_km: f64) -> bool {
        self.stored.iter().any(|place| {
            place.last_seen.distance_ms(time) <= within_ms && place.spot.effective_distance_km(spot) < floor_km
        })
    }

    /// Learns the spot of a login: the nearest stored place below the floor is seen again, else a new
    /// one is added; at most `max` are kept.
    pub fn learn(&mut self, spot: &Spot, time: Timestamp, floor_km: f64, max: usize) {
        if !self.see_again(spot, time, floor_km) {
            self.stored.push(StoredPlace { spot: spot.clone(), last_seen: time });
            while self.stored.len() > max {
                remove_first_min(&mut self.stored, |place| place.last_seen);
            }
        }
        self.move_last(spot, time);
    }

    /// Refreshes a place that the login continues, and adds none: only where a stored place is seen
    /// again the spot becomes the last place.
    pub fn refresh(&mut self, spot: &Spot, time: Timestamp, floor_km: f64) {
        if self.see_again(spot, time, floor_km) {
            self.move_last(spot, time);
        }
    }

    /// The nearest stored place below the floor keeps its point and is seen at this time too.
    fn see_again(&mut self, spot: &Spot, time: Timestamp, floor_km: f64) -> bool {
        let below = self.stored.iter_mut().filter_map(|place| {
            let distance_km = distance(place, spot);
            (place.spot.effective_km(spot, distance_km) < floor_km).then_some((distance_km, place))
        });
        match below.min_by(|(a, _), (b, _)| a.total_cmp(b)) {
            Some((_, place)) => {
                place.last_seen = place.last_seen.max(time);
                true
            }
            None => false,
        }
    }

    fn move_last(&mut self, spot: &Spot, time: Timestamp) {
        if self.last.as_ref().is_none_or(|last| last.time <= time) {
            self.last = Some(LastPlace { spot: spot.clone(), time });
        }
    }
}

fn distance(place: &StoredPlace, spot: &Spot) -> f64 {
    place.spot.point.distance_km(spot.point)
}
