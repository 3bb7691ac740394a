//! Chance as a value: the same seed gives the same run.
//!
//! The generator is `SplitMix64` (Steele, Lea and Flood, 2014): fast, equidistributed in 64 bits, and **not** secret. Keys,
//! session ids and API credentials come from the operating system through rend-shell, never from here.

/// A small seeded generator for back-off jitter, identifiers in tests, and simulations.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Prng(u64);

impl Prng {
    /// The generator for `seed`.
    pub const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, or 0 when `bound` is 0.
    ///
    /// Multiply-and-shift (Lemire, 2019) without the rejection step: the bias is below 2⁻³² for bounds below 2³².
    pub const fn below(&mut self, bound: u64) -> u64 {
        ((self.bits() as u128 * bound as u128) >> 64) as u64
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.bits().to_le_bytes()[..chunk.len()]);
        }
    }

    /// Ten bytes, as identifiers want them.
    pub fn ten(&mut self) -> [u8; 10] {
        let mut bytes = [0; 10];
        self.fill(&mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_replays_and_another_differs() {
        let draw = |seed| Prng::seeded(seed).ten();
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn below_stays_below_and_reaches_every_value() {
        let mut prng = Prng::seeded(1);
        let mut seen = [false; 10];
        for _ in 0..1000 {
            seen[usize::try_from(prng.below(10)).unwrap()] = true;
        }
        assert_eq!(seen, [true; 10]);
        assert_eq!(prng.below(0), 0);
    }
}
