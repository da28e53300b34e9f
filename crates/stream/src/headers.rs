//! Reading record headers without trusting their names.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rdkafka::message::{BorrowedHeaders, Headers};

/// No more headers of a record than this are looked at.
const MAX_LOOKED_AT: usize = 64;

/// Header names that rdkafka could not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// The value of the first header called `name` (ASCII, any case), if it is valid UTF-8.
///
/// rdkafka 0.39 panics on a header whose name is not UTF-8, and offers no other way to the names. Whoever
/// may write to the input topic could stop a worker with that, so the panic ends here (which needs the
/// default `panic = "unwind"`).
pub(crate) fn text<'a>(headers: &'a BorrowedHeaders, name: &str) -> Result<Option<&'a str>, Unreadable> {
    catch_unwind(AssertUnwindSafe(|| {
        for at in 0..headers.count().min(MAX_LOOKED_AT) {
            let Some(header) = headers.try_get(at) else { break };
            if header.key.eq_ignore_ascii_case(name) {
                return header.value.and_then(|value| std::str::from_utf8(value).ok());
            }
        }
        None
    }))
    .map_err(|_| Unreadable)
}

/// A header by name and value.
pub(crate) type OwnedHeader = (String, Option<Vec<u8>>);

/// All headers (the first 64), with the same precaution.
pub(crate) fn all(headers: &BorrowedHeaders) -> Result<Vec<OwnedHeader>, Unreadable> {
    catch_unwind(AssertUnwindSafe(|| {
        (0..headers.count().min(MAX_LOOKED_AT))
            .filter_map(|at| headers.try_get(at))
            .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
            .collect()
    }))
    .map_err(|_| Unreadable)
}
