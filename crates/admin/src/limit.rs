//! How often one may ask: a bucket for each tenant of JWTs, for each static token, and for each address that
//! shows nothing good.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use quick_cache::sync::Cache;

use crate::error::ApiError;

type Bucket = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

/// Buckets that are kept at most; one that has to leave was not used for longer than others and comes back full.
const MAX_BUCKETS: usize = 4096;

/// Whose bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// All JWTs of a tenant share one, as in the reference.
    Tenant(Arc<str>),
    /// A static token's name.
    Token(Arc<str>),
    /// Of what is not good.
    Peer(IpAddr),
}

impl Key {
    /// A v6 network of 64 bits counts as one peer: who has one address there has them all.
    pub(crate) fn peer(address: IpAddr) -> Self {
        Self::Peer(match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// Many buckets of one size.
#[derive(Debug)]
pub(crate) struct Limiter {
    quota: Quota,
    buckets: Cache<Key, Arc<Bucket>>,
    clock: DefaultClock,
}

/// What the reference's headers tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The bucket's size.
    limit: u32,
    remaining: u32,
    /// Until there is more.
    reset: Duration,
}

impl Limiter {
    /// None where a figure is 0.
    pub(crate) fn new(per_s: u32, burst: u32) -> Option<Self> {
        let quota = Quota::per_second(NonZeroU32::new(per_s)?).allow_burst(NonZeroU32::new(burst)?);
        Some(Self { quota, buckets: Cache::new(MAX_BUCKETS), clock: DefaultClock::default() })
    }

    /// Takes one from a bucket.
    ///
    /// # Errors
    /// It is empty.
    pub(crate) fn take(&self, key: &Key) -> Result<Standing, Refused> {
        let full = || Ok::<_, std::convert::Infallible>(Arc::new(RateLimiter::direct(self.quota).with_middleware()));
        let bucket = match self.buckets.get_or_insert_with(key, full) {
            Ok(bucket) => bucket,
            Err(never) => match never {},
        };
        let limit = self.quota.burst_size().get();
        match bucket.check() {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let reset = self.quota.replenish_interval() * limit.saturating_sub(remaining);
                Ok(Standing { limit, remaining, reset })
            }
            Err(until) => {
                let reset = until.wait_time_from(self.clock.now());
                Err(Refused(Standing { limit, remaining: 0, reset }))
            }
        }
    }
}

/// The bucket is empty.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) Standing);

impl Refused {
    pub(crate) fn error(&self) -> ApiError {
        ApiError::too_many(ceil_s(self.0.reset).max(1))
    }
}

impl Standing {
    /// The reference's three headers; the reset is a Unix time in seconds.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        for (name, value) in [
            ("x-ratelimit-limit", u64::from(self.limit)),
            ("x-ratelimit-remaining", u64::from(self.remaining)),
            ("x-ratelimit-reset", ceil_s(now.saturating_add(self.reset))),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
        }
    }
}

fn ceil_s(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0))
}
