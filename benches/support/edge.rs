//! What an edge does beyond answering: it fetches the next segment ahead, it writes sparingly, and it starts again.

use rend_cache::policy::{Event, Id, Policy, Traits, ValueWheel, Verdict, WheelConfig};

use super::trace::{Request, Trace};

/// What a run cost, in shares of all requests and in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// Share of requests whose viewer had to wait for the origin.
    pub(crate) waits: f64,
    /// Share of the bytes asked for that came from the origin because somebody waited for them.
    pub(crate) byte_waits: f64,
    /// Bytes read from the origin.
    pub(crate) origin_bytes: u64,
    /// Bytes written to the disk.
    pub(crate) written_bytes: u64,
    /// Bytes fetched ahead that went before anybody asked for them.
    pub(crate) wasted_bytes: u64,
}

/// Whether the segment after the one asked for is fetched too.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ahead {
    Never,
    Always,
    /// While half of the viewers go on.
    Gated,
}

/// Plays a stream of viewers.
pub(crate) fn play(trace: &Trace, limit: u64, config: WheelConfig, ahead: Ahead) -> Cost {
    let mut wheel = ValueWheel::with_config(limit, config);
    let (mut cost, mut asked, mut asked_bytes, mut waits, mut waited) = (Cost::default(), 0_u64, 0_u64, 0_u64, 0_u64);
    let mut guesses = std::collections::BTreeMap::<Id, u64>::new();
    let mut victims = Vec::new();
    for request in &trace.requests {
        (asked, asked_bytes) = (asked + 1, asked_bytes + request.size);
        if wheel.apply_to(Event::Hit { id: Id(request.id) }, &mut victims) == Verdict::Granted {
            guesses.remove(&Id(request.id));
        } else {
            (waits, waited) = (waits + 1, waited + request.size);
            cost.origin_bytes += request.size;
            cost.written_bytes += store(&mut wheel, request.id, request.size, request.traits, false, &mut victims);
        }
        let next = request.next.filter(|(id, _)| wheel.standing(Id(*id)).is_none());
        if let Some((id, size)) = next.filter(|_| worth_it(&wheel, request, ahead)) {
            let traits = Traits { segment: request.traits.segment.map(|segment| segment + 1), ..request.traits };
            cost.origin_bytes += size;
            let stored = store(&mut wheel, id, size, later(traits), true, &mut victims);
            cost.written_bytes += stored;
            guesses.extend((stored > 0).then_some((Id(id), size)));
        }
        for victim in victims.drain(..) {
            cost.wasted_bytes += guesses.remove(&victim).unwrap_or(0);
        }
    }
    (cost.waits, cost.byte_waits) = (waits as f64 / asked as f64, waited as f64 / asked_bytes as f64);
    cost
}

fn worth_it(wheel: &ValueWheel, request: &Request, ahead: Ahead) -> bool {
    let Some(segment) = request.traits.segment else { return false };
    let survival = |segment| u64::from(wheel.survival(segment).unwrap_or(0));
    match ahead {
        Ahead::Never => false,
        Ahead::Always => true,
        Ahead::Gated => survival(segment) < 16 || survival(segment + 1) * 2 >= survival(segment),
    }
}

/// The class follows from the place.
fn later(traits: Traits) -> Traits {
    let class = if traits.segment.is_some_and(|segment| segment < 2) {
        rend_cache::Class::Startup
    } else {
        rend_cache::Class::Tail
    };
    Traits { class, ..traits }
}

fn store(wheel: &mut ValueWheel, id: u64, size: u64, traits: Traits, guess: bool, victims: &mut Vec<Id>) -> u64 {
    let id = Id(id);
    if wheel.apply_to(Event::Reserve { id, size, traits }, victims) != Verdict::Granted {
        return 0;
    }
    wheel.apply_to(Event::Commit { id, size }, victims);
    if guess {
        wheel.apply_to(Event::Guess { id }, victims);
    }
    size
}

/// The digest of a stream: the same in two runs, and in one that was written down and read back in the middle.
pub(crate) fn digest(trace: &Trace, limit: u64) -> u64 {
    let run = |stop_at: Option<usize>| {
        let mut wheel = ValueWheel::new(limit);
        let mut victims = Vec::new();
        for (n, request) in trace.requests.iter().enumerate() {
            if stop_at == Some(n) {
                let bytes = wheel.snapshot().unwrap_or_default();
                wheel = ValueWheel::new(limit);
                assert_eq!(wheel.restore(&bytes), Ok(()), "a snapshot is read back");
            }
            if wheel.apply_to(Event::Hit { id: Id(request.id) }, &mut victims) != Verdict::Granted {
                store(&mut wheel, request.id, request.size, request.traits, false, &mut victims);
            }
            victims.clear();
        }
        wheel.digest()
    };
    let digest = run(None);
    assert_eq!(digest, run(None), "two runs");
    assert_eq!(digest, run(Some(trace.requests.len() / 2)), "with a stop in the middle");
    digest
}

/// A full cache of so many objects of one size: what it takes to decide on one more, victims included.
pub(crate) fn full(objects: u64) -> ValueWheel {
    let mut wheel = ValueWheel::new(objects * OBJECT_BYTES);
    let mut victims = Vec::new();
    (0..objects).for_each(|id| _ = store(&mut wheel, id, OBJECT_BYTES, viewer(id), false, &mut victims));
    assert!(victims.is_empty() && wheel.len() as u64 == objects);
    wheel
}

/// One more object for a full cache.
pub(crate) fn one_more(wheel: &mut ValueWheel, id: u64, victims: &mut Vec<Id>) {
    victims.clear();
    store(wheel, id, OBJECT_BYTES, viewer(id), false, victims);
}

fn viewer(id: u64) -> Traits {
    later(Traits { line: id / 300, segment: u32::try_from(id % 300).ok(), ..Traits::plain() })
}

const OBJECT_BYTES: u64 = 1 << 20;
