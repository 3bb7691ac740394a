//! An organisation that is suspended is purged whole, though whoever began it is killed.

use std::process::Command;

use rend_api::config::SOLE_ORG;
use serde_json::json;

use crate::faults::{make_clip, upload};
use crate::fleet::{APIS, Fleet, pause};

/// Assets of the organisation: so many that the purges take a while.
const ASSETS: u32 = 300;
/// What opens an operator's routes.
const OPERATOR_TOKEN: &str = "operator-token-for-these-tests-0123456789";

#[test]
#[ignore = "needs real servers: cargo xtask served starts them"]
fn the_assets_of_a_suspended_organisation_are_all_purged_though_both_apis_are_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::alone(folder.path(), &[("REND_OPERATOR_TOKEN", OPERATOR_TOKEN)]);
    let clip = make_clip(folder.path(), 1, &["libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]);
    multiply(&fleet, &upload(&fleet, &clip));
    assert_eq!(ask(&fleet, "SELECT count(*) FROM assets"), ASSETS.to_string());
    suspend(&fleet);
    let purged = || ask(&fleet, "SELECT count(DISTINCT asset) FROM purges").parse::<u32>().unwrap();
    for _ in 0..1200 {
        if purged() >= 10 {
            break;
        }
        pause();
    }
    let before = purged();
    APIS.into_iter().for_each(|name| fleet.kill(name));
    let left = ask(&fleet, "SELECT count(DISTINCT asset) FROM purges").parse::<u32>().unwrap();
    assert!((10..ASSETS).contains(&left), "killed in the middle: {before}, then {left}");
    fleet.begin(APIS[1]);
    let mut last = left;
    for _ in 0..2400 {
        last = ask(&fleet, "SELECT count(DISTINCT asset) FROM purges").parse().unwrap();
        if last == ASSETS {
            return;
        }
        pause();
    }
    panic!("{last} of {ASSETS} are purged\n{}", fleet.logs());
}

/// Makes as many assets as there shall be out of the one.
fn multiply(fleet: &Fleet, model: &str) {
    let columns = ask(
        fleet,
        "SELECT string_agg(quote_ident(column_name), ',') FROM information_schema.columns \
         WHERE table_name = 'assets' AND column_name <> 'id'",
    );
    let copies = ASSETS - 1;
    ask(
        fleet,
        &format!(
            "INSERT INTO assets (id, {columns}) SELECT ('018f0000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, \
             {columns} FROM assets, generate_series(1, {copies}) n WHERE id = '{model}'"
        ),
    );
}

fn ask(fleet: &Fleet, sql: &str) -> String {
    let asked = Command::new("psql").args([fleet.database(), "-X", "-q", "-A", "-t", "-c", sql]).output().unwrap();
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    String::from_utf8(asked.stdout).unwrap().trim().to_owned()
}

fn suspend(fleet: &Fleet) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let status = runtime.block_on(async {
        let url = format!("{}/internal/operator/organizations/{SOLE_ORG}/suspend", fleet.private[0]);
        let order = json!({ "by": "ada", "reason": "a court's order" });
        let client = reqwest::Client::builder().build().unwrap();
        client.post(url).bearer_auth(OPERATOR_TOKEN).json(&order).send().await.unwrap().status()
    });
    assert_eq!(status, 201);
}
