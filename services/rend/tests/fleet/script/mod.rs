//! Whatever fails while people upload, watch and delete: nothing that was acknowledged is lost.
//!
//! A script that a seed makes stops, kills and cuts off one party after the other. `REND_TEST_FAULTS` says how many scripts
//! run, one after the other, and `REND_TEST_SEED` with which seed to begin.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rend_core::config::Vars;
use rend_core::prng::Prng;
use rend_core::time::{Clock, Mono};
use rend_shell::ProcessVars;

use crate::engines::Engine;
use crate::faults::{make_clip, ready, upload};
use crate::fleet::{APIS, EDGES, Fleet, WORKER, pause};

mod deletes;
mod play;
mod tally;
mod uploads;
mod world;

use deletes::Deletes;
use world::World;

#[test]
#[ignore = "needs real servers: cargo xtask served starts them"]
fn whatever_fails_what_was_acknowledged_comes_true_and_is_counted() {
    let number = |name: &str, usual| ProcessVars.get(name).map_or(usual, |text| text.parse().unwrap());
    let first = number("REND_TEST_SEED", 1);
    for seed in first..first + number("REND_TEST_FAULTS", SCRIPTS) {
        run(seed);
    }
}

/// Scripts that run unless `REND_TEST_FAULTS` says how many.
const SCRIPTS: u64 = 2;
/// Things that go wrong in one script, one after the other.
const STEPS: usize = 6;
/// Assets that are there to be deleted.
const DOOMED: usize = 3;
/// Uploads that are begun, at most.
const UPLOADS: usize = 4;

/// Who or what fails.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Process(&'static str),
    Server(Engine),
}

impl Victim {
    fn all() -> impl Iterator<Item = Self> {
        let processes = APIS.into_iter().chain([WORKER]).chain(EDGES).map(Self::Process);
        processes.chain(Engine::ALL.map(Self::Server))
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Process(name) => name,
            Self::Server(engine) => engine.name(),
        }
    }
}

/// How.
#[derive(Clone, Copy, Debug)]
enum Way {
    Stopped,
    Killed,
    Cut,
}

/// One thing that goes wrong for a while.
struct Step {
    after: Duration,
    victim: Victim,
    way: Way,
    lasts: Duration,
    /// Whether somebody deletes something meanwhile.
    deletes: bool,
}

/// What goes wrong, in its order.
fn script(seed: u64) -> Vec<Step> {
    let mut prng = Prng::seeded(seed);
    let mut all: Vec<_> =
        Victim::all().flat_map(|victim| [Way::Stopped, Way::Killed, Way::Cut].map(|way| (victim, way))).collect();
    let millis = |least: u64, most: u64, prng: &mut Prng| Duration::from_millis(least + prng.below(most - least));
    let mut step = |_| {
        let (victim, way) = all.swap_remove(usize::try_from(prng.below(all.len() as u64)).unwrap());
        Step {
            after: millis(200, 900, &mut prng),
            victim,
            way,
            lasts: millis(400, 2600, &mut prng),
            deletes: prng.below(2) == 0,
        }
    };
    (0..STEPS).map(&mut step).collect()
}

fn run(seed: u64) {
    println!("seed {seed}");
    let folder = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::alone(folder.path(), &[]);
    let good = make_clip(folder.path(), 16, &["libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "60"]);
    let other = make_clip(folder.path(), 3, &["mpeg4", "-q:v", "6"]);
    let watched = upload(&fleet, &good);
    let doomed: Vec<String> = (0..DOOMED).map(|_| upload(&fleet, &other)).collect();
    doomed.iter().chain([&watched]).for_each(|id| ready(&fleet, id));

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let _within = runtime.enter();
    let world = Arc::new(World::of(&fleet));
    let mut deletes = Deletes::new(&world, doomed);
    runtime.block_on(deletes.warm());
    let over = Arc::new(AtomicBool::new(false));
    let players = [0, 1].map(|first| {
        let (world, over, id) = (Arc::clone(&world), Arc::clone(&over), watched.clone());
        rend_shell::spawn("player", async move { play::watch(&world, &id, first, &over).await })
    });
    let bytes = std::fs::read(&other).unwrap();
    let uploads = {
        let (world, over) = (Arc::clone(&world), Arc::clone(&over));
        rend_shell::spawn("uploads", async move { uploads::bring_in(&world, seed, bytes, &over).await })
    };

    for Step { after, victim, way, lasts, deletes: wanted } in script(seed) {
        wait(after);
        let name = victim.name();
        println!("  {name} {way:?} for {} ms{}", lasts.as_millis(), if wanted { ", and a delete" } else { "" });
        let began = world.now();
        fail(&mut fleet, &world, victim, way);
        if wanted {
            deletes.begin();
        }
        wait(lasts);
        recover(&mut fleet, victim, way);
        let Some(edge) = EDGES.iter().position(|edge| *edge == name) else { continue };
        // An edge that is back knows within one heartbeat what it missed.
        let back = world.now();
        runtime.block_on(world.beaten(edge, back));
        let during = deletes.acknowledged_between(began, back);
        runtime.block_on(world.gone(edge, &during));
    }

    over.store(true, Ordering::Relaxed);
    let played = players.map(|player| runtime.block_on(player).unwrap());
    let acknowledged = runtime.block_on(uploads).unwrap();
    acknowledged.iter().for_each(|id| ready(&fleet, id));
    let deleted = runtime.block_on(deletes.finish());
    for edge in [0, 1] {
        let now = world.now();
        runtime.block_on(world.beaten(edge, now));
        runtime.block_on(world.gone(edge, &deleted));
    }
    runtime.block_on(world.settled());
    let counted = runtime.block_on(tally::check(&world, &fleet, &watched));
    println!(
        "  {} uploads ready, {} deletes carried out, {} segments played with {} changes of edge, {counted}",
        acknowledged.len(),
        deleted.len(),
        played.iter().map(|played| played.segments).sum::<usize>(),
        played.iter().map(|played| played.changes).sum::<usize>(),
    );
}

fn fail(fleet: &mut Fleet, world: &World, victim: Victim, way: Way) {
    match (victim, way) {
        (Victim::Process(name), Way::Stopped) => fleet.stop(name),
        (Victim::Process(name), Way::Killed) => {
            fleet.kill(name);
            world.killed(name);
        }
        (Victim::Server(engine), Way::Stopped) => engine.stop(),
        (Victim::Server(engine), Way::Killed) => engine.kill(),
        (victim, Way::Cut) => fleet.ways.cut(victim.name()),
    }
}

fn recover(fleet: &mut Fleet, victim: Victim, way: Way) {
    match (victim, way) {
        (Victim::Process(name), Way::Stopped) => fleet.go_on(name),
        (Victim::Process(name), Way::Killed) => fleet.begin(name),
        (Victim::Server(engine), Way::Stopped) => engine.go_on(),
        // The test run starts it again.
        (Victim::Server(engine), Way::Killed) => engine.wait(),
        (victim, Way::Cut) => fleet.ways.mend(victim.name()),
    }
}

fn wait(time: Duration) {
    let clock = rend_shell::SystemClock::start();
    let began: Mono = clock.mono();
    while clock.mono().since(began) < time {
        pause();
    }
}

#[test]
fn a_script_replays_by_its_seed_and_no_two_steps_of_it_are_alike() {
    let told = |seed| -> Vec<_> {
        script(seed).iter().map(|step| format!("{:?} {:?} {:?}", step.victim, step.way, step.lasts)).collect()
    };
    assert_eq!(told(3), told(3));
    assert_ne!(told(3), told(4));
    let kinds = script(3)
        .iter()
        .map(|step| format!("{:?} {:?}", step.victim, step.way))
        .collect::<std::collections::BTreeSet<_>>();
    assert_eq!(kinds.len(), STEPS);
}
