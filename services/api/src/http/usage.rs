//! What was delivered, as it is counted for good.

use std::sync::Arc;

use http::StatusCode;
use rend_core::credential::Scope;
use rend_core::media::ladder::Tier;
use rend_core::time::Timestamp;
use rend_core::usage::Usage;
use serde::Serialize;
use warp::Filter;
use warp::filters::BoxedFilter;

use crate::auth::{Caller, state_and_caller};
use crate::error::ApiError;
use crate::http::videos::query_pairs;
use crate::http::{Answer, get, json, raw_query};
use crate::state::State;
use crate::wire::Page;

/// Rows of one page, at most.
const PAGE_MAX: usize = 200;

pub(crate) fn routes(state: &Arc<State>) -> BoxedFilter<(Answer,)> {
    warp::path!("v1" / "usage")
        .and(get())
        .and(state_and_caller(state, Scope::Analytics))
        .and(raw_query())
        .then(|state: Arc<State>, caller: Result<Caller, ApiError>, query: String| async move {
            page(&state, caller?, &query).await
        })
        .boxed()
}

#[derive(Serialize)]
struct UsageJson {
    org_id: String,
    hour: String,
    tier: &'static str,
    delivered_ms: u64,
    revision: u32,
    complete: bool,
    counted_at: String,
}

impl UsageJson {
    fn new(usage: &Usage) -> Self {
        Self {
            org_id: usage.org.to_string(),
            hour: usage.hour.to_string(),
            tier: usage.tier.as_str(),
            delivered_ms: usage.micros / 1000,
            revision: usage.revision,
            complete: usage.complete,
            counted_at: usage.at.to_string(),
        }
    }
}

async fn page(state: &State, caller: Caller, query: &str) -> Answer {
    let wish = Wish::parse(query)?;
    let ledger = &state.stores.usage;
    let mut rows = ledger.usage(caller.org, wish.from, wish.until, wish.after, wish.limit + 1).await?;
    let more = rows.len() > wish.limit;
    rows.truncate(wish.limit);
    let next_cursor = rows.last().filter(|_| more).map(|last| format!("{}~{}", last.hour, last.tier.as_str()));
    json(StatusCode::OK, &Page { data: rows.iter().map(UsageJson::new).collect(), next_cursor })
}

/// Which usage a caller wants to see.
#[derive(Debug, Eq, PartialEq)]
struct Wish {
    from: Timestamp,
    until: Timestamp,
    after: Option<(Timestamp, Tier)>,
    limit: usize,
}

impl Wish {
    fn parse(query: &str) -> Result<Self, ApiError> {
        let mut wish = Self { from: Timestamp::EPOCH, until: Timestamp::MAX, after: None, limit: PAGE_MAX };
        let time = |name: &'static str, value: &str| {
            value.parse().map_err(|_| ApiError::field(name, "a time in UTC such as 2027-01-15T08:00:00.000Z"))
        };
        for (name, value) in query_pairs(query) {
            match name.as_str() {
                "from" => wish.from = time("from", &value)?,
                "until" => wish.until = time("until", &value)?,
                "cursor" => {
                    let place =
                        value.split_once('~').and_then(|(hour, tier)| Some((hour.parse().ok()?, Tier::of_word(tier)?)));
                    wish.after =
                        Some(place.ok_or_else(|| ApiError::field("cursor", "the `next_cursor` of a page of usage"))?);
                }
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
                    wish.limit = limit.ok_or_else(|| ApiError::field("limit", "a number from 1 to 200"))?;
                }
                other => {
                    let known = "known are from, until, limit and cursor";
                    return Err(ApiError::field("query", format!("`{other}` is not known; {known}")));
                }
            }
        }
        Ok(wish)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_for_usage_is_read_whole_or_refused() {
        let all = Wish { from: Timestamp::EPOCH, until: Timestamp::MAX, after: None, limit: PAGE_MAX };
        assert_eq!(Wish::parse("").unwrap(), all);
        let hour = Timestamp::from_secs(1_800_000_000);
        let found =
            Wish::parse("from=2027-01-15T08%3A00%3A00.000Z&limit=3&cursor=2027-01-15T08:00:00.000Z~4k").unwrap();
        assert_eq!(found, Wish { from: hour, after: Some((hour, Tier::K4)), limit: 3, ..all });
        for odd in ["from=yesterday", "limit=0", "limit=201", "cursor=~", "cursor=2027-01-15T08:00:00.000Z~8k", "x=1"] {
            assert!(Wish::parse(odd).is_err(), "{odd}");
        }
    }
}
