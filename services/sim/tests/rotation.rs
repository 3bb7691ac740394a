//! Rotating rings and a leaked key, over many seeds.

use rend_sim::rotation::run;

#[test]
fn a_rotation_refuses_no_honest_viewer_and_a_revoked_key_opens_nothing_after_the_stated_delay() {
    let (mut honest, mut renewed, mut stolen, mut refused) = (0, 0, 0, 0);
    for seed in 0..120 {
        let told = run(seed);
        assert_eq!(told.violations, Vec::<String>::new(), "seed {seed}");
        honest += told.honest;
        renewed += told.renewed;
        stolen += told.stolen;
        refused += told.refused;
    }
    // A story in which nothing happens would prove nothing.
    assert!(honest > 300_000 && renewed > 4000, "{honest} {renewed}");
    assert!(stolen > 2000 && refused > 6000, "{stolen} {refused}");
}

#[test]
fn a_seed_replays() {
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
