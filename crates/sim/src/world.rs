//! The cities of the small world, and how far they are from each other.
//!
//! Names, codes and coordinates are public facts, typed in by hand. What networks they have is made
//! up: see [`crate::networks`].

/// A city. Its index in [`CITIES`] identifies it everywhere in this crate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct City {
    /// Name in English.
    pub name: &'static str,
    /// ISO 3166-1 alpha-2 code of the country.
    pub country: &'static str,
    /// ISO 3166-1 alpha-3 code of the country.
    pub country3: &'static str,
    /// Name of the country in English.
    pub country_name: &'static str,
    /// Continent: AF, AN, AS, EU, NA, OC or SA.
    pub continent: &'static str,
    /// ISO 3166-2 code without the country's part, and name; both empty where there is none.
    pub subdivision: (&'static str, &'static str),
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// IANA time zone.
    pub time_zone: &'static str,
    /// Share of the users who live here, against the other cities' shares.
    pub weight: u32,
}

// One row a city: the table is read more often than the struct.
#[rustfmt::skip]
macro_rules! city {
    ($name:literal, $country:literal $country3:literal $country_name:literal, $continent:literal,
     $sub:literal $sub_name:literal, $lat:expr, $lon:expr, $zone:literal, $weight:literal) => {
        City {
            name: $name, country: $country, country3: $country3, country_name: $country_name,
            continent: $continent, subdivision: ($sub, $sub_name),
            latitude: $lat, longitude: $lon, time_zone: $zone, weight: $weight,
        }
    };
}

/// All cities, at most 64: each has four of the 256 networks of 198.18.0.0/16.
#[rustfmt::skip]
pub const CITIES: &[City] = &[
    city!("Amsterdam", "NL" "NLD" "The Netherlands", "EU", "NH" "North Holland", 52.3740, 4.8897, "Europe/Amsterdam", 10),
    city!("Rotterdam", "NL" "NLD" "The Netherlands", "EU", "ZH" "South Holland", 51.9225, 4.4792, "Europe/Amsterdam", 8),
    city!("Berlin", "DE" "DEU" "Germany", "EU", "BE" "State of Berlin", 52.5244, 13.4105, "Europe/Berlin", 10),
    city!("Hamburg", "DE" "DEU" "Germany", "EU", "HH" "Hamburg", 53.5753, 10.0153, "Europe/Berlin", 8),
    city!("Frankfurt am Main", "DE" "DEU" "Germany", "EU", "HE" "Hesse", 50.1155, 8.6842, "Europe/Berlin", 8),
    city!("Paris", "FR" "FRA" "France", "EU", "IDF" "Île-de-France", 48.8534, 2.3488, "Europe/Paris", 10),
    city!("Lyon", "FR" "FRA" "France", "EU", "ARA" "Auvergne-Rhône-Alpes", 45.7485, 4.8467, "Europe/Paris", 6),
    city!("London", "GB" "GBR" "United Kingdom", "EU", "ENG" "England", 51.5085, -0.1257, "Europe/London", 12),
    city!("Manchester", "GB" "GBR" "United Kingdom", "EU", "ENG" "England", 53.4809, -2.2374, "Europe/London", 6),
    city!("Liverpool", "GB" "GBR" "United Kingdom", "EU", "ENG" "England", 53.4106, -2.9779, "Europe/London", 4),
    city!("Madrid", "ES" "ESP" "Spain", "EU", "MD" "Madrid", 40.4165, -3.7026, "Europe/Madrid", 8),
    city!("Valencia", "ES" "ESP" "Spain", "EU", "VC" "Valencia", 39.4698, -0.3774, "Europe/Madrid", 4),
    city!("Lisbon", "PT" "PRT" "Portugal", "EU", "11" "Lisbon", 38.7169, -9.1399, "Europe/Lisbon", 5),
    city!("Rome", "IT" "ITA" "Italy", "EU", "62" "Lazio", 41.8919, 12.5113, "Europe/Rome", 8),
    city!("Zurich", "CH" "CHE" "Switzerland", "EU", "ZH" "Zurich", 47.3667, 8.5500, "Europe/Zurich", 5),
    city!("Warsaw", "PL" "POL" "Poland", "EU", "14" "Mazovia", 52.2298, 21.0118, "Europe/Warsaw", 6),
    city!("Stockholm", "SE" "SWE" "Sweden", "EU", "AB" "Stockholm County", 59.3294, 18.0687, "Europe/Stockholm", 5),
    city!("Oslo", "NO" "NOR" "Norway", "EU", "03" "Oslo", 59.9127, 10.7461, "Europe/Oslo", 4),
    city!("Longyearbyen", "SJ" "SJM" "Svalbard and Jan Mayen", "EU", "" "", 78.2232, 15.6469, "Arctic/Longyearbyen", 1),
    city!("Reykjavik", "IS" "ISL" "Iceland", "EU", "1" "Capital Region", 64.1355, -21.8954, "Atlantic/Reykjavik", 2),
    city!("New York", "US" "USA" "United States", "NA", "NY" "New York", 40.7143, -74.0060, "America/New_York", 12),
    city!("Boston", "US" "USA" "United States", "NA", "MA" "Massachusetts", 42.3584, -71.0598, "America/New_York", 6),
    city!("Washington", "US" "USA" "United States", "NA", "DC" "District of Columbia", 38.8951, -77.0364, "America/New_York", 6),
    city!("Baltimore", "US" "USA" "United States", "NA", "MD" "Maryland", 39.2904, -76.6122, "America/New_York", 4),
    city!("Ashburn", "US" "USA" "United States", "NA", "VA" "Virginia", 39.0437, -77.4875, "America/New_York", 2),
    city!("Chicago", "US" "USA" "United States", "NA", "IL" "Illinois", 41.8500, -87.6500, "America/Chicago", 8),
    city!("San Francisco", "US" "USA" "United States", "NA", "CA" "California", 37.7749, -122.4194, "America/Los_Angeles", 8),
    city!("San Jose", "US" "USA" "United States", "NA", "CA" "California", 37.3394, -121.8950, "America/Los_Angeles", 6),
    city!("Seattle", "US" "USA" "United States", "NA", "WA" "Washington", 47.6062, -122.3321, "America/Los_Angeles", 5),
    city!("Honolulu", "US" "USA" "United States", "NA", "HI" "Hawaii", 21.3069, -157.8583, "Pacific/Honolulu", 2),
    city!("Toronto", "CA" "CAN" "Canada", "NA", "ON" "Ontario", 43.7001, -79.4163, "America/Toronto", 8),
    city!("Ottawa", "CA" "CAN" "Canada", "NA", "ON" "Ontario", 45.4112, -75.6981, "America/Toronto", 4),
    city!("Mexico City", "MX" "MEX" "Mexico", "NA", "CMX" "Mexico City", 19.4285, -99.1277, "America/Mexico_City", 8),
    city!("São Paulo", "BR" "BRA" "Brazil", "SA", "SP" "São Paulo", -23.5475, -46.6361, "America/Sao_Paulo", 10),
    city!("Rio de Janeiro", "BR" "BRA" "Brazil", "SA", "RJ" "Rio de Janeiro", -22.9064, -43.1822, "America/Sao_Paulo", 6),
    city!("Buenos Aires", "AR" "ARG" "Argentina", "SA", "C" "Buenos Aires", -34.6132, -58.3772, "America/Argentina/Buenos_Aires", 6),
    city!("Bogotá", "CO" "COL" "Colombia", "SA", "DC" "Bogota D.C.", 4.6097, -74.0818, "America/Bogota", 5),
    city!("Lima", "PE" "PER" "Peru", "SA", "LMA" "Lima", -12.0432, -77.0282, "America/Lima", 4),
    city!("Cairo", "EG" "EGY" "Egypt", "AF", "C" "Cairo", 30.0626, 31.2497, "Africa/Cairo", 6),
    city!("Lagos", "NG" "NGA" "Nigeria", "AF", "LA" "Lagos", 6.4541, 3.3947, "Africa/Lagos", 6),
    city!("Nairobi", "KE" "KEN" "Kenya", "AF", "30" "Nairobi", -1.2833, 36.8167, "Africa/Nairobi", 5),
    city!("Johannesburg", "ZA" "ZAF" "South Africa", "AF", "GP" "Gauteng", -26.2023, 28.0436, "Africa/Johannesburg", 6),
    city!("Pretoria", "ZA" "ZAF" "South Africa", "AF", "GP" "Gauteng", -25.7449, 28.1878, "Africa/Johannesburg", 4),
    city!("Cape Town", "ZA" "ZAF" "South Africa", "AF", "WC" "Western Cape", -33.9258, 18.4232, "Africa/Johannesburg", 4),
    city!("Istanbul", "TR" "TUR" "Turkey", "AS", "34" "Istanbul", 41.0138, 28.9497, "Europe/Istanbul", 6),
    city!("Dubai", "AE" "ARE" "United Arab Emirates", "AS", "DU" "Dubai", 25.0772, 55.3093, "Asia/Dubai", 4),
    city!("Delhi", "IN" "IND" "India", "AS", "DL" "National Capital Territory of Delhi", 28.6519, 77.2315, "Asia/Kolkata", 8),
    city!("Jaipur", "IN" "IND" "India", "AS", "RJ" "Rajasthan", 26.9196, 75.7878, "Asia/Kolkata", 4),
    city!("Bengaluru", "IN" "IND" "India", "AS", "KA" "Karnataka", 12.9719, 77.5937, "Asia/Kolkata", 8),
    city!("Singapore", "SG" "SGP" "Singapore", "AS", "" "", 1.2897, 103.8501, "Asia/Singapore", 6),
    city!("Jakarta", "ID" "IDN" "Indonesia", "AS", "JK" "Jakarta", -6.2146, 106.8451, "Asia/Jakarta", 6),
    city!("Hong Kong", "HK" "HKG" "Hong Kong", "AS", "" "", 22.2783, 114.1747, "Asia/Hong_Kong", 5),
    city!("Seoul", "KR" "KOR" "South Korea", "AS", "11" "Seoul", 37.5660, 126.9784, "Asia/Seoul", 6),
    city!("Tokyo", "JP" "JPN" "Japan", "AS", "13" "Tokyo", 35.6895, 139.6917, "Asia/Tokyo", 10),
    city!("Osaka", "JP" "JPN" "Japan", "AS", "27" "Osaka", 34.6937, 135.5022, "Asia/Tokyo", 6),
    city!("Kobe", "JP" "JPN" "Japan", "AS", "28" "Hyogo", 34.6913, 135.1830, "Asia/Tokyo", 3),
    city!("Sydney", "AU" "AUS" "Australia", "OC", "NSW" "New South Wales", -33.8678, 151.2073, "Australia/Sydney", 6),
    city!("Canberra", "AU" "AUS" "Australia", "OC", "ACT" "Australian Capital Territory", -35.2835, 149.1281, "Australia/Sydney", 3),
    city!("Auckland", "NZ" "NZL" "New Zealand", "OC", "AUK" "Auckland", -36.8485, 174.7635, "Pacific/Auckland", 4),
    city!("Wellington", "NZ" "NZL" "New Zealand", "OC", "WGN" "Wellington", -41.2866, 174.7756, "Pacific/Auckland", 2),
    city!("Suva", "FJ" "FJI" "Fiji", "OC", "C" "Central", -18.1416, 178.4415, "Pacific/Fiji", 2),
    city!("Apia", "WS" "WSM" "Samoa", "OC", "TU" "Tuamasaga", -13.8333, -171.7667, "Pacific/Apia", 2),
    city!("Pago Pago", "AS" "ASM" "American Samoa", "OC", "" "", -14.2781, -170.7025, "Pacific/Pago_Pago", 1),
    city!("McMurdo Station", "AQ" "ATA" "Antarctica", "AN", "" "", -77.8460, 166.6760, "Antarctica/McMurdo", 1),
];

/// Index in [`CITIES`] of the city with this name.
pub fn city_named(name: &str) -> Option<usize> {
    CITIES.iter().position(|city| city.name == name)
}

/// Great-circle distance of two cities in km, on the mean Earth radius.
pub fn distance_km(a: &City, b: &City) -> f64 {
    let (lat_a, lat_b) = (a.latitude.to_radians(), b.latitude.to_radians());
    let half_lat = (lat_b - lat_a) / 2.0;
    let half_lon = (b.longitude - a.longitude).to_radians() / 2.0;
    let h = half_lat.sin().powi(2) + lat_a.cos() * lat_b.cos() * half_lon.sin().powi(2);
    2.0 * 6371.0088 * h.min(1.0).sqrt().asin()
}

/// Distances of all pairs, worked out once.
///
/// In whole km: sines may differ in their last bit between machines, and no such bit may get into
/// the traffic.
#[derive(Debug, Clone)]
pub(crate) struct Atlas {
    km: Vec<u16>,
    weights: u64,
}

impl Atlas {
    pub(crate) fn new() -> Atlas {
        let km = CITIES.iter().flat_map(|a| CITIES.iter().map(|b| distance_km(a, b).round() as u16)).collect();
        let weights = CITIES.iter().map(|city| u64::from(city.weight)).sum();
        Atlas { km, weights }
    }

    /// Whole km from one city to another.
    pub(crate) fn km(&self, a: usize, b: usize) -> i64 {
        self.km.get(a * CITIES.len() + b).map_or(0, |km| i64::from(*km))
    }

    /// A city by its weight, for any random number.
    pub(crate) fn weighted(&self, random: u64) -> usize {
        let mut rest = random % self.weights.max(1);
        for (index, city) in CITIES.iter().enumerate() {
            match rest.checked_sub(u64::from(city.weight)) {
                Some(less) => rest = less,
                None => return index,
            }
        }
        0
    }

    /// Cities whose distance from one is in a range, itself apart.
    pub(crate) fn within(&self, from: usize, km: std::ops::Range<i64>) -> Vec<usize> {
        (0..CITIES.len()).filter(|&to| to != from && km.contains(&self.km(from, to))).collect()
    }
}

/// How long a person needs from one place to another, door to door, in ms.
///
/// By road or rail up to 300 km, else by air: never above 750 km/h.
pub(crate) fn travel_time_ms(km: i64) -> i64 {
    use crate::time::{HOUR, MINUTE};
    if km < 300 { 30 * MINUTE + km * HOUR / 90 } else { 3 * HOUR + km * HOUR / 750 }
}
