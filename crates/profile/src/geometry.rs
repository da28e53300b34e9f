//! Points on the Earth and the distances between them.

use smol_str::SmolStr;

/// Mean radius of the Earth in kilometres (IUGG).
pub const EARTH_RADIUS_KM: f64 = 6371.0088;

/// Units of a stored coordinate in a degree: 1e-7 degrees are 1.1 cm, and 180 degrees fit 32 bits.
const UNITS_PER_DEGREE: f64 = 1e7;

/// A point, to 1e-7 degrees. Every computation starts from these units, so that an answer that is
/// computed again from what was stored is the same to the last digit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Point {
    /// Latitude in units of 1e-7 degrees.
    pub latitude_e7: i32,
    /// Longitude in units of 1e-7 degrees.
    pub longitude_e7: i32,
}

impl Point {
    /// The point at these degrees; `None` when they are out of range or no numbers.
    #[must_use]
    pub fn from_degrees(latitude: f64, longitude: f64) -> Option<Self> {
        if !(latitude.abs() <= 90.0 && longitude.abs() <= 180.0) {
            return None;
        }
        let units = |degrees: f64| (degrees * UNITS_PER_DEGREE).round() as i32;
        Some(Self { latitude_e7: units(latitude), longitude_e7: units(longitude) })
    }

    /// Degrees north.
    #[must_use]
    pub fn latitude(self) -> f64 {
        f64::from(self.latitude_e7) / UNITS_PER_DEGREE
    }

    /// Degrees east.
    #[must_use]
    pub fn longitude(self) -> f64 {
        f64::from(self.longitude_e7) / UNITS_PER_DEGREE
    }

    /// Great-circle distance in kilometres (haversine, mean Earth radius).
    #[must_use]
    pub fn distance_km(self, other: Point) -> f64 {
        // Most logins come from where the last one came from. The formula gives just this.
        if self == other {
            return 0.0;
        }
        self.haversine_km(other)
    }

    fn haversine_km(self, other: Point) -> f64 {
        let (lat1, lat2) = (self.latitude().to_radians(), other.latitude().to_radians());
        let half_lat = (lat2 - lat1) / 2.0;
        let half_lon = (other.longitude() - self.longitude()).to_radians() / 2.0;
        let h = half_lat.sin().powi(2) + lat1.cos() * lat2.cos() * half_lon.sin().powi(2);
        // Rounding may carry h of antipodes beyond 1.
        2.0 * EARTH_RADIUS_KM * h.sqrt().min(1.0).asin()
    }
}

/// A point with its accuracy radius and names. Most names are short: they are kept in place.
#[derive(Debug, Clone, PartialEq)]
pub struct Spot {
    /// Where.
    pub point: Point,
    /// Accuracy radius in metres.
    pub radius_m: u32,
    /// City, at most 100 characters.
    pub city: Option<SmolStr>,
    /// Country code.
    pub country: Option<SmolStr>,
}

impl Spot {
    /// Distance less both radiuses, not below 0.
    #[must_use]
    pub fn effective_distance_km(&self, other: &Spot) -> f64 {
        self.effective_km(other, self.point.distance_km(other.point))
    }

    /// The effective distance where the distance is known already.
    #[must_use]
    pub fn effective_km(&self, other: &Spot, distance_km: f64) -> f64 {
        let radiuses_km = (f64::from(self.radius_m) + f64::from(other.radius_m)) / 1000.0;
        (distance_km - radiuses_km).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_of_known_pairs() {
        // Coordinates of city centres; distances by the haversine formula with R = 6371.0088 km.
        let cases = [
            ("Fiji to Samoa over the date line", (-18.1416, 178.4419), (-13.8333, -171.7667), 1140.0, 20.0),
            ("across the pole", (89.9, 0.0), (89.9, 180.0), 22.24, 0.01),
            ("poles at any longitude are one point", (90.0, 12.0), (90.0, -150.0), 0.0, 1e-6),
            ("antipodes", (0.0, 0.0), (0.0, 180.0), 20_015.114, 0.01),
            ("180 and -180 are one meridian", (10.0, 180.0), (10.0, -180.0), 0.0, 1e-6),
            ("London to Paris", (51.5074, -0.1278), (48.8566, 2.3522), 343.6, 0.5),
        ];
        for (name, a, b, wanted, tolerance) in cases {
            let (a, b) = (Point::from_degrees(a.0, a.1), Point::from_degrees(b.0, b.1));
            let km = a.zip(b).map_or(f64::NAN, |(a, b)| a.distance_km(b));
            assert!((km - wanted).abs() <= tolerance, "{name}: {km} km");
        }
    }

    #[test]
    fn the_formula_gives_no_distance_between_a_point_and_itself() {
        for latitude_e7 in (-900_000_000..=900_000_000).step_by(7_654_321).chain([0, 900_000_000]) {
            for longitude_e7 in (-1_800_000_000..=1_800_000_000).step_by(98_765_432).chain([0, 1_800_000_000]) {
                let point = Point { latitude_e7, longitude_e7 };
                assert_eq!(point.haversine_km(point).to_bits(), 0f64.to_bits(), "{point:?}");
            }
        }
    }

    #[test]
    fn no_point_out_of_range() {
        for (latitude, longitude) in [(90.1, 0.0), (0.0, 180.1), (f64::NAN, 0.0), (0.0, f64::INFINITY)] {
            assert_eq!(Point::from_degrees(latitude, longitude), None);
        }
    }
}
