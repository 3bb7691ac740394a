//! Deletes until every edge has acknowledged its purge, beside the requests to the edges alone.

use futures::future::join_all;
use rend_core::fleet::wire::PurgeWire;
use rend_core::time::Clock;
use rend_shell::SystemClock;

use crate::Size;
use crate::figures::{Round, print_times};
use crate::stand::{EDGE_TOKEN, Http, Stand};

pub(crate) async fn measure(stand: &Stand, size: &Size) {
    let clock = SystemClock::start();
    let client = reqwest::Client::builder().build().unwrap();
    let stream = client.get(format!("http://{}/v1/events", stand.api[0])).bearer_auth(&stand.key);
    let mut stream = stream.send().await.unwrap().error_for_status().unwrap();
    let mut heard = String::new();
    let mut api = Http::connect(&stand.api[0]).await;
    let mut edges = join_all(stand.edges.iter().map(|edge| Http::connect(edge))).await;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for n in 1..=size.purges as u64 {
        let asset = Stand::asset(n);
        let began = clock.mono();
        let (status, _) = api.ask("DELETE", &format!("/v1/assets/{asset}"), &stand.key, b"").await;
        assert_eq!(status, 202);
        let mut acknowledged = 0;
        // The record says that it is deleted when the job that follows is done; it would be measured with the next.
        let mut deleted = false;
        while acknowledged < stand.edges.len() || !deleted {
            let Some((event, rest)) = heard.split_once("\n\n") else {
                heard.push_str(&String::from_utf8_lossy(&stream.chunk().await.unwrap().unwrap()));
                continue;
            };
            if event.contains(&asset) {
                deleted |= event.contains("asset.deleted");
                if event.contains("edge.purge_succeeded") {
                    acknowledged += 1;
                    if acknowledged == stand.edges.len() {
                        ours.push(clock.mono().since(began));
                    }
                }
            }
            heard = rest.to_owned();
        }
        // The same order about another asset, with no place in a log.
        let other = Stand::asset(size.assets + n).parse().unwrap();
        let order = serde_json::to_vec(&PurgeWire { seq: None, ..PurgeWire::gone(other, 0) }).unwrap();
        let began = clock.mono();
        let told = edges.iter_mut().map(|edge| edge.ask("POST", "/internal/purge", EDGE_TOKEN, &order));
        assert!(join_all(told).await.iter().all(|(status, _)| *status == 200));
        bare.push(clock.mono().since(began));
    }
    let round = |each| vec![Round { each, per_sec: 0.0 }];
    print_times(&format!("a purge acknowledged by {} edges", stand.edges.len()), &round(ours), &round(bare));
}
