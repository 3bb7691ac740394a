//! Bound a cache of your own with the decisions of `rend-cache`.
//!
//! What is kept, and where, is yours: here a map of thumbnails. The policy is told what happens and says who has to go; it never
//! touches what you keep. `own_policy.rs` brings another policy, `own_cache_files.rs` another disk.

use std::collections::BTreeMap;

use rend_cache::Class;
use rend_cache::policy::{Event, Id, Policy, Traits, ValueWheel, Verdict};

/// Thumbnails, never more than so many bytes.
struct Thumbnails {
    images: BTreeMap<Id, Vec<u8>>,
    policy: ValueWheel,
}

impl Thumbnails {
    fn get(&mut self, id: Id, make: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
        if self.policy.apply(Event::Hit { id }).verdict == Verdict::Granted {
            return self.images[&id].clone();
        }
        let (image, traits) = (make(), Traits { class: Class::Still, ..Traits::plain() });
        // Room first, so that there is never too much; whoever has to go for it is named.
        let size = image.len() as u64;
        let reserved = self.policy.apply(Event::Reserve { id, size, traits });
        reserved.victims.iter().for_each(|victim| _ = self.images.remove(victim));
        if reserved.verdict == Verdict::Granted {
            self.policy.apply(Event::Commit { id, size });
            self.images.insert(id, image.clone());
        }
        image
    }
}

#[expect(clippy::print_stdout, reason = "an example shows what it did")]
fn main() {
    let mut thumbnails = Thumbnails { images: BTreeMap::new(), policy: ValueWheel::new(20_000) };
    let mut made = 0;
    // One favourite among many that are looked at once.
    for id in (1..=1000).flat_map(|n| [Id(0), Id(n)]) {
        thumbnails.get(id, || {
            made += usize::from(id == Id(0));
            vec![0; 1000]
        });
        assert!(thumbnails.images.values().map(Vec::len).sum::<usize>() <= 20_000);
    }
    println!("of 1000 requests for the favourite, {made} had to make it");
}
