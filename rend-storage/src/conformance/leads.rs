//! What every [`Leads`] must do.

use futures::future;

use super::make::{at, token};
use crate::leads::Leads;

/// A name is led by one until its lease ends; who leads may go on.
pub async fn a_name_is_led_by_one_until_its_lease_ends(store: &impl Leads) {
    for (holder, now, expires, leads) in [
        (1, 0, 10, true),
        (2, 5, 15, false),
        (1, 5, 20, true),
        (2, 19, 29, false),
        (2, 20, 30, true),
        (1, 21, 31, false),
        // A lease that its holder let end early is free.
        (2, 22, 22, true),
        (1, 22, 32, true),
    ] {
        let found = store.lead("usage", token(holder), at(now), at(expires)).await.unwrap();
        assert_eq!(found, leads, "{holder} at {now}");
    }
    assert!(store.lead("retention", token(2), at(23), at(30)).await.unwrap(), "another name is another lease");
}

/// Of many who ask at once one leads.
pub async fn of_many_at_once_one_leads(store: &impl Leads) {
    let asks = (1..=12).map(|holder| store.lead("usage", token(holder), at(0), at(10)));
    let leaders = future::join_all(asks).await.into_iter().filter(|answer| *answer.as_ref().unwrap()).count();
    assert_eq!(leaders, 1);
}

/// Mounts what every `Leads` must do; see [`conformance`](crate::conformance).
#[macro_export]
macro_rules! leads_conformance {
    ($(#[$attribute:meta])* $block_on:path, $make:expr) => {
        $crate::mount_cases! { leads [$(#[$attribute])*] $block_on, $make;
            a_name_is_led_by_one_until_its_lease_ends
            of_many_at_once_one_leads
        }
    };
}
