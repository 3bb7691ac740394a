//! What every policy promises, on made-up and on typical streams of events.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
#![expect(clippy::wildcard_enum_match_arm, reason = "events that matter to a rule are named, the others are not")]

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;
use rend_cache::Class;
use rend_cache::policy::{
    Alpha, Event, Id, Lru, Policy, RestoreError, S3Fifo, Traits, ValueWheel, Verdict, WheelConfig,
};
use rend_cache::replay::{Recorded, replay};

const LIMIT: u64 = 10_000;

fn policies(limit: u64) -> [Box<dyn Policy>; 4] {
    let admitting = WheelConfig { admission: true, ..WheelConfig::default() };
    [
        Box::new(ValueWheel::new(limit)),
        Box::new(ValueWheel::with_config(limit, admitting)),
        Box::new(Lru::new(limit)),
        Box::new(S3Fifo::new(limit)),
    ]
}

fn traits() -> impl Strategy<Value = Traits> {
    (0_usize..4, 0_u64..4, proptest::option::of(0_u32..600)).prop_map(|(class, line, segment)| Traits {
        class: Class::ALL[class],
        line,
        segment,
    })
}

fn event() -> impl Strategy<Value = Event> {
    let id = (0_u64..24).prop_map(Id);
    let size = prop_oneof![8 => 0_u64..3000, 1 => Just(0), 1 => Just(LIMIT), 1 => Just(LIMIT + 1), 1 => Just(u64::MAX)];
    prop_oneof![
        6 => id.clone().prop_map(|id| Event::Hit { id }),
        2 => (id.clone(), size.clone(), traits()).prop_map(|(id, size, traits)| Event::Room { id, size, traits }),
        8 => (id.clone(), size.clone(), traits()).prop_map(|(id, size, traits)| Event::Reserve { id, size, traits }),
        2 => (id.clone(), size.clone()).prop_map(|(id, size)| Event::Grow { id, size }),
        8 => (id.clone(), size.clone()).prop_map(|(id, size)| Event::Commit { id, size }),
        2 => id.clone().prop_map(|id| Event::Abort { id }),
        2 => id.clone().prop_map(|id| Event::Remove { id }),
        1 => id.clone().prop_map(|id| Event::Pin { id }),
        1 => id.prop_map(|id| Event::Unpin { id }),
        1 => size.prop_map(|bytes| Event::Shrink { bytes }),
        1 => (LIMIT / 2..LIMIT * 2).prop_map(|limit| Event::SetLimit { limit }),
        1 => any::<bool>().prop_map(|on| Event::SetAdmission { on }),
        1 => (0_u64..24).prop_map(|id| Event::Guess { id: Id(id) }),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Reserved,
    Resident,
    Pinned,
}

/// What the books must say after each event, kept as plainly as can be.
#[derive(Default)]
struct Model {
    objects: BTreeMap<Id, (u64, State)>,
}

impl Model {
    fn used(&self) -> u64 {
        self.objects.values().map(|(size, _)| size).sum()
    }

    fn is(&self, id: Id, state: State) -> bool {
        self.objects.get(&id).is_some_and(|(_, is)| *is == state)
    }

    /// Takes note of what the policy did, and says what is wrong with it.
    fn follow(&mut self, event: Event, verdict: Verdict, victims: &[Id], limit: u64) -> Result<(), String> {
        let need = match event {
            Event::Reserve { size, .. } | Event::Room { size, .. } => size,
            Event::Grow { id, size } => size - self.objects.get(&id).map_or(0, |(now, _)| (*now).min(size)),
            _ => 0,
        };
        let mut freed_last = 0;
        if verdict == Verdict::Granted {
            // These make an evictable object before anything is evicted.
            match event {
                Event::Commit { id, size } if self.is(id, State::Reserved) => {
                    self.objects.insert(id, (size, State::Resident));
                }
                Event::Unpin { id } if self.is(id, State::Pinned) => {
                    self.objects.get_mut(&id).unwrap().1 = State::Resident
                }
                Event::Commit { .. } | Event::Unpin { .. } => return Err(format!("{event:?} was granted")),
                _ => {}
            }
        }
        for victim in victims {
            let Some((size, State::Resident)) = self.objects.remove(victim) else {
                return Err(format!("{victim:?} is no resident and cannot be a victim"));
            };
            freed_last = size;
        }
        let expect = match event {
            Event::Hit { id } => self.objects.contains_key(&id),
            Event::Reserve { id, .. } => !self.objects.contains_key(&id),
            Event::Grow { id, .. } | Event::Abort { id } => self.is(id, State::Reserved),
            Event::Commit { id, size } if verdict == Verdict::Ignored => {
                self.is(id, State::Reserved) && size <= self.objects[&id].0
            }
            Event::Unpin { id } if verdict == Verdict::Ignored => self.is(id, State::Pinned),
            Event::Remove { id } => self.is(id, State::Resident) || self.is(id, State::Pinned),
            Event::Pin { id } | Event::Guess { id } => self.is(id, State::Resident),
            Event::SetAdmission { .. } => true,
            Event::Commit { .. }
            | Event::Unpin { .. }
            | Event::Room { .. }
            | Event::Shrink { .. }
            | Event::SetLimit { .. } => true,
        };
        if expect == (verdict == Verdict::Ignored) {
            return Err(format!("{event:?} was answered with {verdict:?}"));
        }
        if verdict != Verdict::Granted {
            return Ok(());
        }
        // No more than needed: without the last victim there would not have been room.
        let asks = matches!(event, Event::Reserve { .. } | Event::Room { .. } | Event::Grow { .. });
        if asks && !victims.is_empty() && self.used() + freed_last + need <= limit {
            return Err(format!("{victims:?} is one victim more than {need} bytes need"));
        }
        match event {
            Event::Reserve { id, size, .. } => _ = self.objects.insert(id, (size, State::Reserved)),
            Event::Grow { id, size } => {
                let object = self.objects.get_mut(&id).unwrap();
                object.0 = object.0.max(size);
            }
            Event::Abort { id } | Event::Remove { id } => _ = self.objects.remove(&id),
            Event::Pin { id } => self.objects.get_mut(&id).unwrap().1 = State::Pinned,
            Event::Hit { .. } | Event::Commit { .. } | Event::Unpin { .. } => {}
            Event::Room { .. } | Event::Shrink { .. } | Event::SetLimit { .. } => {}
            Event::SetAdmission { .. } | Event::Guess { .. } => {}
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// P1, P2, P3 and P12.
    #[test]
    fn the_books_are_the_sum_of_what_is_there_and_never_above_the_limit(events in proptest::collection::vec(event(), 0..300)) {
        for mut policy in policies(LIMIT) {
            let mut model = Model::default();
            for event in &events {
                let actions = policy.apply(*event);
                let told = model.follow(*event, actions.verdict, &actions.victims, policy.limit());
                prop_assert_eq!(told, Ok(()), "{} at {:?}", policy.name(), event);
                prop_assert_eq!(policy.used(), model.used(), "{} at {:?}", policy.name(), event);
                prop_assert_eq!(policy.len(), model.objects.len());
                // Only what cannot go may be left above a limit that was lowered.
                let stuck: u64 = model.objects.values().filter(|(_, is)| *is != State::Resident).map(|(size, _)| size).sum();
                prop_assert!(policy.used() <= policy.limit().max(stuck), "{} at {:?}", policy.name(), event);
                for (id, (size, state)) in &model.objects {
                    let standing = policy.standing(*id).unwrap();
                    prop_assert_eq!(standing.size, *size);
                    prop_assert_eq!((standing.reserved, standing.pinned), (*state == State::Reserved, *state == State::Pinned));
                }
            }
        }
    }

    /// P5, with the snapshots further down.
    #[test]
    fn equal_events_have_equal_digests_and_a_log_replays_to_its_digest(events in proptest::collection::vec(event(), 0..300)) {
        let mut recorded = Recorded::new(ValueWheel::new(LIMIT), 1 << 20);
        events.iter().for_each(|event| drop(recorded.apply(*event)));
        prop_assert_eq!(recorded.dropped(), 0);
        prop_assert_eq!(replay(recorded.log(), ValueWheel::new(LIMIT)), Some(recorded.digest()));
    }

    #[test]
    fn lru_evicts_what_a_list_says_was_asked_for_longest_ago(ids in proptest::collection::vec(0_u64..40, 0..400)) {
        let (mut lru, mut model) = (Lru::new(1000), VecDeque::new());
        for id in ids {
            if let Some(at) = model.iter().position(|known| *known == id) {
                model.remove(at);
                prop_assert_eq!(lru.apply(Event::Hit { id: Id(id) }).verdict, Verdict::Granted);
            } else {
                let expect: Vec<Id> = if model.len() == 10 { model.pop_front().map(Id).into_iter().collect() } else { vec![] };
                prop_assert_eq!(store(&mut lru, id, 100, Traits::plain()), expect);
            }
            model.push_back(id);
        }
    }

    /// P4. Each place on the wheel is `now + credit`; who is on the lowest goes first, and among equals who came first.
    #[test]
    fn the_wheel_evicts_in_the_order_of_a_plain_sort(
        accesses in proptest::collection::vec((0_u64..60, 1_u64..50, 0_usize..4), 0..600),
        shift in 10_u8..24,
    ) {
        let config = WheelConfig { shift, ..WheelConfig::default() };
        let mut wheel = ValueWheel::with_config(1000, config);
        let mut model: BTreeMap<u64, (u64, u64, u64, u64, u64)> = BTreeMap::new(); // id → place, arrival, size, hits, weight
        let (mut now, mut arrivals) = (0, 0);
        for (id, size, class) in accesses {
            let weight = u64::from(config.weights[class]);
            let place = |now: u64, hits: u64, size: u64, weight: u64| {
                now + (((weight << 22) / size.isqrt() * (u64::from(config.first) + 256 * hits)) >> shift).clamp(1, 8191)
            };
            arrivals += 1;
            if let Some((at, arrival, size, hits, weight)) = model.get_mut(&id) {
                prop_assert_eq!(wheel.apply(Event::Hit { id: Id(id) }).verdict, Verdict::Granted);
                *hits += 1;
                (*at, *arrival) = (place(now, *hits, *size, *weight), arrivals);
                continue;
            }
            let mut expect = Vec::new();
            while model.values().map(|object| object.2).sum::<u64>() + size > 1000 {
                let victim = model.iter().min_by_key(|(_, object)| (object.0, object.1)).map(|(id, _)| *id).unwrap();
                now = model.remove(&victim).unwrap().0;
                expect.push(Id(victim));
            }
            let traits = Traits { class: Class::ALL[class], line: 0, segment: None };
            prop_assert_eq!(store(&mut wheel, id, size, traits), expect);
            model.insert(id, (place(now, 0, size, weight), arrivals, size, 0, weight));
        }
    }

    /// P6.
    #[test]
    fn what_is_weightier_smaller_or_asked_for_more_often_never_goes_first(
        size in 1_u64..5000, smaller in 0_u64..5000, hits in 0_usize..20, more in 0_usize..20,
        class in 0_usize..4, higher in 0_usize..4, filler in proptest::collection::vec(1_u64..5000, 0..20),
    ) {
        let mut wheel = ValueWheel::new(u64::MAX / 2);
        for (id, size) in filler.iter().enumerate() {
            store(&mut wheel, 100 + id as u64, *size, Traits::plain());
        }
        let of = |class: usize| Traits { class: Class::ALL[class], ..Traits::plain() };
        store(&mut wheel, 1, size, of(class.min(higher)));
        store(&mut wheel, 2, size.min(smaller).max(1), of(class.max(higher)));
        for n in 0..hits + more {
            if n < hits {
                wheel.apply(Event::Hit { id: Id(1) });
            }
            wheel.apply(Event::Hit { id: Id(2) });
        }
        let order = wheel.apply(Event::Shrink { bytes: u64::MAX }).victims;
        let place = |id| order.iter().position(|victim| *victim == Id(id)).unwrap();
        prop_assert!(place(1) < place(2));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// P5.
    #[test]
    fn a_snapshot_at_any_moment_goes_on_alike_and_one_that_was_changed_is_refused(
        events in proptest::collection::vec(event(), 1..300), at in 0_usize..300, flip in any::<prop::sample::Index>(), cut in any::<prop::sample::Index>(),
    ) {
        for (mut one, mut other) in policies(LIMIT).into_iter().zip(policies(LIMIT)) {
            let (before, after) = events.split_at(at.min(events.len()));
            before.iter().for_each(|event| drop(one.apply(*event)));
            let snapshot = one.snapshot().unwrap();
            let mut changed = snapshot.clone();
            changed[flip.index(snapshot.len())] ^= 1;
            for mut fresh in policies(LIMIT) {
                prop_assert!(fresh.restore(&changed).is_err());
            }
            for mut fresh in policies(LIMIT) {
                prop_assert!(fresh.restore(&snapshot[..cut.index(snapshot.len())]).is_err());
            }
            prop_assert_eq!(other.restore(&snapshot), Ok(()));
            for event in after {
                prop_assert_eq!(one.apply(*event), other.apply(*event), "{} at {:?}", one.name(), event);
            }
            prop_assert_eq!(one.digest(), other.digest());
            prop_assert_eq!(one.used(), other.used());
            prop_assert_eq!(one.apply(Event::Shrink { bytes: u64::MAX }), other.apply(Event::Shrink { bytes: u64::MAX }));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// The checksum keeps accidents out; what passes it on purpose is either refused or a policy whose books hold.
    #[test]
    fn bytes_that_look_like_a_snapshot_are_refused_or_restored_to_books_that_hold(
        before in proptest::collection::vec(event(), 1..100), after in proptest::collection::vec(event(), 1..100),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_usize..3), 1..4),
    ) {
        for (mut policy, mut fresh) in policies(LIMIT).into_iter().zip(policies(LIMIT)) {
            before.iter().for_each(|event| drop(policy.apply(*event)));
            let mut snapshot = policy.snapshot().unwrap();
            let len = snapshot.len() - 4;
            for (at, byte, place) in &changes {
                // The head, the objects at the end, and anywhere.
                let at = match place {
                    0 => at.index(80.min(len)),
                    1 => len - 1 - at.index(400.min(len)),
                    _ => at.index(len),
                };
                snapshot[at] = *byte;
            }
            let crc = crc32c::crc32c(&snapshot[..len]);
            snapshot[len..].copy_from_slice(&crc.to_le_bytes());
            if fresh.restore(&snapshot).is_ok() {
                for event in &after {
                    fresh.apply(*event);
                }
                fresh.apply(Event::SetLimit { limit: LIMIT });
                fresh.apply(Event::Shrink { bytes: u64::MAX });
                let again = fresh.snapshot().unwrap();
                prop_assert!(policies(LIMIT).into_iter().any(|mut other| other.restore(&again).is_ok()));
            }
        }
    }
}

/// Reserves and commits; the victims.
#[track_caller]
fn store(policy: &mut impl Policy, id: u64, size: u64, traits: Traits) -> Vec<Id> {
    let reserved = policy.apply(Event::Reserve { id: Id(id), size, traits });
    assert_eq!(reserved.verdict, Verdict::Granted);
    assert_eq!(policy.apply(Event::Commit { id: Id(id), size }).verdict, Verdict::Granted);
    reserved.victims
}

/// A snapshot of `lru` in which the state of its first object, which stands `at` so many bytes from the start, is `state`.
fn with_state(lru: &Lru, at: usize, state: u8) -> Vec<u8> {
    let mut snapshot = lru.snapshot().unwrap();
    snapshot[at] = state;
    let len = snapshot.len() - 4;
    let crc = crc32c::crc32c(&snapshot[..len]);
    snapshot[len..].copy_from_slice(&crc.to_le_bytes());
    snapshot
}

#[test]
fn what_a_snapshot_calls_resident_stands_in_a_queue_and_nothing_else_does() {
    const HEAD: usize = "RENDPOL1".len() + 1 + "lru".len() + 4 * 8;
    const STATE: usize = 3 * 8 + 4 + 2 + 1;
    let (mut reserved, mut resident) = (Lru::new(LIMIT), Lru::new(LIMIT));
    reserved.apply(Event::Reserve { id: Id(1), size: 100, traits: Traits::plain() });
    store(&mut resident, 1, 100, Traits::plain());
    for (policy, at) in [(&reserved, HEAD + STATE), (&resident, HEAD + 2 * 8 + STATE)] {
        let its_own = policy.snapshot().unwrap()[at];
        for state in 0..=u8::MAX {
            let answer = Lru::new(LIMIT).restore(&with_state(policy, at, state));
            // A pinned object is aside as a reserved one is; the size's sum does not tell them apart.
            let fits = state == its_own || (its_own == 0 && state == 2);
            assert_eq!(answer.is_ok(), fits, "{its_own} as {state}");
        }
    }
}

#[test]
fn a_snapshot_is_restored_only_into_a_new_policy_of_its_own_kind() {
    let mut lru = Lru::new(LIMIT);
    store(&mut lru, 1, 100, Traits::plain());
    let snapshot = lru.snapshot().unwrap();
    assert_eq!(lru.restore(&snapshot), Err(RestoreError::NotNew));
    assert_eq!(S3Fifo::new(LIMIT).restore(&snapshot), Err(RestoreError::OtherPolicy));
    let wheel = ValueWheel::new(LIMIT).snapshot().unwrap();
    let other = WheelConfig { shift: 9, ..WheelConfig::default() };
    assert_eq!(ValueWheel::with_config(LIMIT, other).restore(&wheel), Err(RestoreError::OtherPolicy));
    assert_eq!(ValueWheel::new(LIMIT).restore(b"RENDPOL1"), Err(RestoreError::Damaged));
    let mut back = Lru::new(1);
    assert_eq!(back.restore(&snapshot), Ok(()));
    assert_eq!((back.limit(), back.used(), back.len()), (LIMIT, 100, 1));
}

/// P7.
#[test]
fn nothing_stays_for_ever_that_nobody_asks_for() {
    for alpha in [Alpha::Bytes, Alpha::Balanced, Alpha::Objects] {
        for traits in Class::ALL.map(|class| Traits { class, line: 1, segment: Some(0) }) {
            let mut wheel = ValueWheel::with_config(1_000_000, WheelConfig { alpha, ..WheelConfig::default() });
            store(&mut wheel, 0, 500, traits);
            // It was once the darling of everybody.
            (0..100_000).for_each(|_| drop(wheel.apply(Event::Hit { id: Id(0) })));
            let gone = (1..3_000_000).find(|id| {
                store(&mut wheel, *id, 5000, Traits { class: Class::Tail, line: *id, segment: Some(9) })
                    .contains(&Id(0))
            });
            assert!(gone.is_some(), "{alpha:?} {:?}", traits.class);
        }
    }
}

/// P9.
#[test]
fn the_wheel_turns_many_times_without_losing_anybody() {
    let mut wheel = ValueWheel::with_config(100, WheelConfig { shift: 0, ..WheelConfig::default() });
    let mut seen = 0;
    for id in 0..100_000 {
        // Each credit is the longest there is, so each eviction moves the wheel by almost a turn.
        seen += store(&mut wheel, id, 1, Traits::plain()).len();
        assert_eq!(wheel.len() + seen, id as usize + 1);
    }
    assert_eq!(wheel.apply(Event::Shrink { bytes: u64::MAX }).victims.len(), 100);
}

/// P11.
#[test]
fn a_limit_that_is_lowered_holds_at_once() {
    for mut policy in policies(LIMIT) {
        (0..100).for_each(|id| drop(store(&mut policy, id, 100, Traits { class: Class::Control, ..Traits::plain() })));
        let victims = policy.apply(Event::SetLimit { limit: 1234 }).victims;
        assert_eq!((victims.len(), policy.used(), policy.limit()), (88, 1200, 1234), "{}", policy.name());
    }
}

#[test]
fn a_scan_does_not_sweep_out_what_is_asked_for_again_and_again() {
    let keeps = |mut policy: Box<dyn Policy>| {
        for round in 0..50 {
            // What people like is asked for three times between two scans.
            for id in (0..20).chain(0..20).chain(0..20) {
                if policy.apply(Event::Hit { id: Id(id) }).verdict == Verdict::Ignored {
                    store(&mut policy, id, 100, Traits::plain());
                }
            }
            (0..60).for_each(|n| drop(store(&mut policy, 1000 + round * 60 + n, 100, Traits::plain())));
        }
        (0..20).filter(|id| policy.standing(Id(*id)).is_some()).count()
    };
    let kept = |policy| keeps(policy);
    assert_eq!(kept(Box::new(Lru::new(5000))), 0, "which is why it is the yardstick and not the default");
    assert_eq!(kept(Box::new(ValueWheel::new(5000))), 20);
    assert_eq!(kept(Box::new(S3Fifo::new(5000))), 20);
}

#[test]
fn a_first_segment_asked_for_by_many_makes_the_next_ones_stay() {
    let mut wheel = ValueWheel::new(1_000_000);
    let segment = |line, index| Traits { class: Class::Tail, line, segment: Some(index) };
    // Everybody who starts line 1 goes on; it was started by fifty, line 2 by nobody.
    store(&mut wheel, 1, 1000, segment(1, 0));
    (0..50).for_each(|_| drop(wheel.apply(Event::Hit { id: Id(1) })));
    store(&mut wheel, 10, 1000, segment(9, 1));
    (0..50).for_each(|_| drop(wheel.apply(Event::Hit { id: Id(10) })));
    store(&mut wheel, 2, 1000, segment(1, 1));
    store(&mut wheel, 3, 1000, segment(2, 1));
    let distance = |id| wheel.standing(Id(id)).unwrap().distance;
    assert!(distance(2) > 2 * distance(3), "{} {}", distance(2), distance(3));
}

#[test]
fn with_admission_an_unknown_tail_object_is_stored_at_its_second_request() {
    let mut wheel = ValueWheel::with_config(1000, WheelConfig { admission: true, ..WheelConfig::default() });
    (0..10).for_each(|id| drop(store(&mut wheel, id, 100, Traits::plain())));
    let reserve =
        |wheel: &mut ValueWheel| wheel.apply(Event::Reserve { id: Id(77), size: 100, traits: Traits::plain() });
    assert_eq!(reserve(&mut wheel).verdict, Verdict::Bypass);
    assert_eq!(reserve(&mut wheel).verdict, Verdict::Granted);
}

#[test]
fn admission_is_turned_on_and_off_while_it_runs() {
    let mut wheel = ValueWheel::new(1000);
    (0..10).for_each(|id| drop(store(&mut wheel, id, 100, Traits::plain())));
    let room = |wheel: &mut ValueWheel, id: u64| {
        wheel.apply(Event::Room { id: Id(id), size: 100, traits: Traits::plain() }).verdict
    };
    assert_eq!(room(&mut wheel, 70), Verdict::Granted);
    wheel.apply(Event::Shrink { bytes: 0 });
    store(&mut wheel, 70, 100, Traits::plain());
    wheel.apply(Event::SetAdmission { on: true });
    assert_eq!((room(&mut wheel, 71), room(&mut wheel, 72)), (Verdict::Bypass, Verdict::Bypass));
    assert_eq!(room(&mut wheel, 71), Verdict::Granted, "asked for before");
    store(&mut wheel, 71, 100, Traits::plain());
    wheel.apply(Event::SetAdmission { on: false });
    assert_eq!(room(&mut wheel, 73), Verdict::Granted);
}

#[test]
fn a_guess_does_not_count_as_a_request() {
    let mut wheel = ValueWheel::new(1000);
    let segment = |index| Traits { class: Class::Tail, line: 1, segment: Some(index) };
    store(&mut wheel, 1, 100, segment(3));
    store(&mut wheel, 2, 100, segment(4));
    assert_eq!((wheel.survival(3), wheel.survival(4)), (Some(1), Some(1)));
    assert_eq!(wheel.apply(Event::Guess { id: Id(2) }).verdict, Verdict::Granted);
    assert_eq!((wheel.survival(3), wheel.survival(4)), (Some(1), Some(0)));
    wheel.apply(Event::Hit { id: Id(2) });
    assert_eq!(wheel.survival(4), Some(1));
    assert_eq!(Lru::new(1).survival(0), None, "which counts nobody");
}

/// A changed digest means a changed policy. Change it on purpose, with the figures of the bench.
#[test]
fn the_decisions_of_this_version_are_the_ones_written_down() {
    let digest = |policy: Box<dyn Policy>| {
        let mut recorded = Recorded::new(policy, 0);
        let mut chance = 7_u64;
        for _ in 0..100_000 {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let draw = chance >> 33;
            // The square makes small numbers frequent.
            let id = Id((draw % 300) * (draw / 300 % 300) / 30);
            let segment = u32::try_from(id.0 % 40).ok();
            let traits = Traits { class: Class::ALL[(id.0 % 4) as usize], line: id.0 / 40, segment };
            if recorded.apply(Event::Hit { id }).verdict == Verdict::Ignored {
                let size = 100 + id.0 * 7 % 900;
                recorded.apply(Event::Reserve { id, size, traits });
                recorded.apply(Event::Commit { id, size });
            }
        }
        recorded.digest()
    };
    let digests = policies(100_000).map(|policy| format!("{} {:016x}", policy.name(), digest(policy)));
    assert_eq!(digests.as_slice(), GOLDEN);
}

const GOLDEN: &[&str] =
    &["wheel 539e4e0c438536ee", "wheel adddea7754ae7708", "lru e6f4e62163303337", "s3-fifo 73fdeec987515340"];
