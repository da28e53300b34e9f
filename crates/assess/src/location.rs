//! Where a login comes from, as far as it can be used.

use model::event::EventGeo;
use model::evidence::{AddressFacts, GeoRecord, SourceState};
use profile::{Point, Spot};
use smol_str::SmolStr;

use crate::settings::Settings;

/// What is known about the place of a login.
#[derive(Debug, Clone, PartialEq)]
pub enum Location {
    /// There is no source: ImpossibleTravel is absent.
    NoSource,
    /// The source could not be asked.
    Failed,
    /// The City database has no record of the address, or there is no address.
    Missing,
    /// There are data, but no usable point.
    Unusable,
    /// There are data with coordinates, but these are not finite: nothing can be computed with them.
    NotANumber,
    /// A usable point.
    Usable(Spot),
}

impl Location {
    /// Finds the place: in the City database where one is configured, else in the event. Two sources
    /// mixed would make people jump.
    #[must_use]
    pub fn find(city: SourceState, facts: Option<&AddressFacts>, event: &EventGeo<'_>, settings: &Settings) -> Self {
        match city {
            // A database that was configured counts as one, also when it could not be loaded: it has no
            // record of anything.
            SourceState::Unavailable => Location::Missing,
            SourceState::Ready => match facts.map(|facts| &facts.geo) {
                None | Some(Ok(None)) => Location::Missing,
                Some(Err(_)) => Location::Failed,
                Some(Ok(Some(record))) => Self::of_record(record, settings),
            },
            SourceState::Absent => match (event.latitude, event.longitude) {
                (Some(latitude), Some(longitude)) => Self::of_record(
                    &GeoRecord {
                        latitude: Some(latitude),
                        longitude: Some(longitude),
                        city: event.city.map(SmolStr::from),
                        country: event.country.map(SmolStr::from),
                        ..GeoRecord::default()
                    },
                    settings,
                ),
                _ => Location::NoSource,
            },
        }
    }

    fn of_record(record: &GeoRecord, settings: &Settings) -> Self {
        let (Some(latitude), Some(longitude)) = (record.latitude, record.longitude) else { return Location::Unusable };
        let is_finite = latitude.is_finite() && longitude.is_finite();
        let is_origin = latitude == 0.0 && longitude == 0.0;
        let too_vague = match record.radius_km {
            Some(radius_km) => radius_km >= settings.unusable_radius_km,
            None => record.city.is_none(),
        };
        match Point::from_degrees(latitude, longitude) {
            Some(point) if !is_origin && !too_vague && !record.is_satellite => Location::Usable(Spot {
                point,
                radius_m: (record.radius_km.unwrap_or(settings.default_radius_km) * 1000.0).round() as u32,
                city: record.city.clone(),
                country: record.country.clone(),
            }),
            None if !is_finite && !too_vague && !record.is_satellite => Location::NotANumber,
            _ => Location::Unusable,
        }
    }

    /// The usable point, if there is one.
    #[must_use]
    pub fn spot(&self) -> Option<&Spot> {
        match self {
            Location::Usable(spot) => Some(spot),
            _ => None,
        }
    }
}
