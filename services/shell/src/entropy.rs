use rend_core::prng::Prng;

/// `N` bytes from the operating system, fit for keys.
///
/// # Panics
///
/// When the operating system has no entropy to give, since nothing safe can be done then.
#[expect(clippy::expect_used, reason = "without entropy no key, token or id may be made")]
pub fn entropy<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives entropy");
    bytes
}

/// The ten bytes that an identifier wants.
pub fn ten() -> [u8; 10] {
    entropy()
}

/// A generator for jitter, seeded by the operating system.
pub fn seeded() -> Prng {
    Prng::seeded(u64::from_le_bytes(entropy()))
}
