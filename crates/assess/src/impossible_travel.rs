//! ImpossibleTravel: can the user have come here from where he was last?

use model::Answer;
use profile::Profile;
use profile::answers::{StoredTravel, speed_kmh};

use crate::Attempt;
use crate::location::Location;
use crate::settings::Settings;

/// Answers with evidence, where a distance was computed. `None` when there is no source of places. Without a
/// profile, where one is stored that cannot be read, there is nothing to compare with, and nothing that
/// says that this is the first login either.
pub(crate) fn assess(
    attempt: &Attempt,
    profile: Option<&Profile>,
    first_login: bool,
    settings: &Settings,
) -> Option<(Answer, Option<StoredTravel>)> {
    let Some(profile) = profile else {
        let has_source = attempt.location != Location::NoSource;
        return has_source.then_some((Answer::TravelNotAvailable, None));
    };
    let usable = match &attempt.location {
        Location::NoSource => return None,
        Location::Failed => return Some((Answer::TravelNotAvailable, None)),
        _ if attempt.class.non_public => return Some((Answer::GeoipNonPublic, None)),
        _ if attempt.class.anonymised => return Some((Answer::AnonymousProxy, None)),
        _ if attempt.class.relay => return Some((Answer::LocationRelay, None)),
        Location::Missing => return Some((Answer::MissingGeoip, None)),
        Location::Unusable => return Some((Answer::UnknownLocation, None)),
        _ if first_login => return Some((Answer::TravelInitialLogin, None)),
        Location::NotANumber => None,
        Location::Usable(spot) => Some(spot),
    };
    let (time, places) = (attempt.time, &profile.places);
    let last = places.last.as_ref().filter(|last| last.time.distance_ms(time) <= settings.retention_ms);
    let Some(spot) = usable else {
        let has_history = last.is_some()
            || places.stored.iter().any(|place| place.last_seen.distance_ms(time) <= settings.known_place_ms);
        return Some((if has_history { Answer::InvalidTravel } else { Answer::LocationHistoryNotFound }, None));
    };
    let (from, from_time) = match last {
        Some(last) => (&last.spot, last.time),
        None => match places.nearest_seen(spot, time, settings.known_place_ms) {
            Some(place) => (&place.spot, place.last_seen),
            None => return Some((Answer::LocationHistoryNotFound, None)),
        },
    };
    let with_speed = last.is_some();
    let effective_km = from.effective_distance_km(spot);
    let speed = with_speed.then(|| speed_kmh(effective_km, time.distance_ms(from_time)));
    if !effective_km.is_finite() || speed.is_some_and(|speed| !speed.is_finite()) {
        return Some((Answer::InvalidTravel, None));
    }
    let known_place = places.is_known(spot, time, settings.known_place_ms, settings.floor_km);
    let answer = if with_speed && effective_km < settings.floor_km {
        Answer::MinimalTravel
    } else if known_place {
        Answer::TravelKnownPlace
    } else if speed.is_some_and(|speed| speed > settings.max_speed_kmh) {
        Answer::ImpossibleTravel
    } else if effective_km < settings.substantial_km {
        Answer::Travel
    } else {
        Answer::SubstantialTravel
    };
    let evidence = StoredTravel { from: from.clone(), from_time, to: spot.clone(), with_speed, known_place };
    Some((answer, Some(evidence)))
}
