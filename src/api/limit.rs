//! How many requests a caller may send in a second. Off by default; alerts and predictions are never refused (see
//! `posted`).

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock as _;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use moka::sync::Cache;

use super::error::ApiError;
use crate::domain::UserId;

/// Callers that are counted at once. Beyond that the one that was idle longest starts afresh.
const MAX_CALLERS: u64 = 10_000;
/// A caller that was idle for so long has its whole burst again anyway.
const FORGET_AFTER: Duration = Duration::from_mins(1);

/// A rate for each caller.
#[derive(Debug)]
pub(super) struct CallerLimit {
    quota: Option<Quota>,
    callers: Cache<UserId, Arc<DefaultDirectRateLimiter>>,
}

impl CallerLimit {
    /// So many requests a second, as many at once; 0 is no limit.
    pub(super) fn per_second(requests: u32) -> Self {
        let quota = NonZeroU32::new(requests).map(Quota::per_second);
        let callers = Cache::builder()
            .max_capacity(MAX_CALLERS)
            .time_to_idle(FORGET_AFTER)
            .build();
        Self { quota, callers }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// 429, with the time to wait.
    pub(super) fn check(&self, caller: &UserId) -> Result<(), ApiError> {
        let Some(quota) = self.quota else { return Ok(()) };
        let limiter = self
            .callers
            .get_with_by_ref(caller, || Arc::new(RateLimiter::direct(quota)));
        limiter.check().map_err(|until| {
            let wait = until.wait_time_from(governor::clock::DefaultClock::default().now());
            ApiError::too_many(wait.as_secs().saturating_add(1))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_refused_above_the_rate_and_others_are_not() {
        let limit = CallerLimit::per_second(2);
        let (busy, other) = (UserId::parse("busy").unwrap(), UserId::parse("other").unwrap());

        let answers: Vec<bool> = (0..3).map(|_| limit.check(&busy).is_ok()).collect();

        assert_eq!(answers, [true, true, false]);
        assert!(limit.check(&other).is_ok());
    }

    #[test]
    fn no_rate_refuses_nobody() {
        let limit = CallerLimit::per_second(0);
        let caller = UserId::parse("busy").unwrap();

        assert!((0..1_000).all(|_| limit.check(&caller).is_ok()));
    }
}
