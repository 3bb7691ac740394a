//! What players got, and whether ClickHouse says the same.

use std::collections::BTreeMap;
use std::time::Duration;

use rend_core::time::Mono;

use super::world::World;
use crate::fleet::{EDGES, Fleet};

/// How a request ended, as its client saw it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ended {
    /// So many bytes came, and they were all.
    Whole(u64),
    /// It broke off. The edge may have handed anything up to so many bytes to the network.
    Unsure(u64),
    /// No edge answered it with a success.
    Unserved,
}

/// Every request of every player.
#[derive(Default)]
pub(super) struct Tally {
    asked: Vec<Asked>,
    kills: Vec<(usize, Mono)>,
}

struct Asked {
    edge: usize,
    path: String,
    at: Mono,
    ended: Ended,
}

impl Tally {
    pub(super) fn note(&mut self, edge: usize, path: &str, at: Mono, ended: Ended) {
        self.asked.push(Asked { edge, path: path.to_owned(), at, ended });
    }

    pub(super) fn killed(&mut self, edge: usize, at: Mono) {
        self.kills.push((edge, at));
    }

    /// What ClickHouse may say of each path at each edge: least and most, in bytes and requests.
    fn bounds(&self) -> BTreeMap<(usize, String), Bounds> {
        let mut bounds = BTreeMap::<_, Bounds>::new();
        for Asked { edge, path, at, ended } in &self.asked {
            let unsynced =
                self.kills.iter().any(|(killed, when)| killed == edge && at <= when && when.since(*at) < SYNCED_WITHIN);
            let of = bounds.entry((*edge, path.clone())).or_default();
            match *ended {
                Ended::Whole(bytes) => {
                    of.add(if unsynced { 0 } else { bytes }, bytes, if unsynced { 0 } else { 1 });
                }
                Ended::Unsure(bytes) => of.add(0, bytes, 0),
                Ended::Unserved => {}
            }
        }
        bounds
    }
}

#[derive(Debug, Default)]
struct Bounds {
    bytes: (u64, u64),
    requests: (u64, u64),
}

impl Bounds {
    const fn add(&mut self, least: u64, most: u64, requests: u64) {
        self.bytes.0 += least;
        self.bytes.1 += most;
        self.requests.0 += requests;
        self.requests.1 += 1;
    }

    const fn is_exact(&self) -> bool {
        self.requests.0 == self.requests.1
    }
}

/// Holds what ClickHouse says against what players got, and says how much was held against it.
pub(super) async fn check(world: &World, fleet: &Fleet, asset: &str) -> String {
    let bounds = world.tally.lock().unwrap().bounds();
    let told = served(fleet, asset).await;
    let (mut bytes, mut exact) = (0, 0);
    for (place, (told_bytes, told_requests)) in &told {
        let Some(of) = bounds.get(place) else {
            panic!("{} told of {}, which nobody asked for", EDGES[place.0], place.1)
        };
        let fits =
            (of.bytes.0..=of.bytes.1).contains(told_bytes) && (of.requests.0..=of.requests.1).contains(told_requests);
        assert!(fits, "{} of {}: {told_bytes} bytes in {told_requests} requests, not {of:?}", place.1, EDGES[place.0]);
        bytes += told_bytes;
        exact += usize::from(of.is_exact());
    }
    let missing: Vec<_> = bounds.iter().filter(|(place, of)| of.requests.0 > 0 && !told.contains_key(*place)).collect();
    assert!(missing.is_empty(), "not told: {missing:?}");
    // And no run of an edge has a gap or says that it lost something.
    let accounts = fleet.served(include_str!("../../../../../rend-storage/src/clickhouse/sql/accounts.sql")).await;
    for account in accounts.lines() {
        let fields: Vec<_> = account.split('\t').collect();
        let [_, _, received, seq_max, dropped] = fields[..] else { panic!("{account}") };
        assert_eq!((received, dropped), (seq_max, "0"), "{account}");
    }
    format!("{bytes} bytes accounted for, {exact} of {} sums to the byte", told.len())
}

/// Bytes and requests of each path at each edge, of answers that were a success.
async fn served(fleet: &Fleet, asset: &str) -> BTreeMap<(usize, String), (u64, u64)> {
    let plain: String = asset.chars().filter(|c| *c != '-').collect();
    let question = format!(
        "SELECT node, path, sum(bytes_sent), count() FROM edge_events FINAL \
         WHERE asset = toFixedString(unhex('{plain}'), 16) AND status = 200 GROUP BY node, path"
    );
    let said = fleet.served(&question).await;
    let row = |line: &str| {
        let fields: Vec<_> = line.split('\t').collect();
        let edge = EDGES.iter().position(|edge| *edge == fields[0]).unwrap();
        ((edge, fields[1].to_owned()), (fields[2].parse().unwrap(), fields[3].parse().unwrap()))
    };
    said.lines().map(row).collect()
}

/// How long what was answered may take to reach the disk of a busy machine, generously: edges wait for 50 ms.
const SYNCED_WITHIN: Duration = Duration::from_secs(1);
