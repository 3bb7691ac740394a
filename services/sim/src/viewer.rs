//! Viewers and their tokens: good ones, and such as somebody altered, kept too long, or got for another asset.

use rend_core::artifact::ArtifactPath;
use rend_core::prng::Prng;
use rend_core::time::Timestamp;
use rend_token::{
    Artifact, ArtifactClass, AssetRef, ClassMask, Grant, KeyLabel, KeyRing, KeySpec, Policy, Request, Secret,
    SecretPolicy, Signer, UnixSecs, Verifier,
};

use crate::world::asset_id;

/// A token in a viewer's hands, and what is true of it.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    text: Vec<u8>,
    /// The asset that it was issued for.
    pub(crate) asset: usize,
    /// From when and until when, in seconds of the issuer's clock.
    pub(crate) window: (u64, u64),
    /// Somebody changed it.
    pub(crate) altered: bool,
}

/// Where tokens are issued and verified.
pub(crate) struct Gate {
    /// A stream of its own, so that viewers do not shuffle what else happens.
    prng: Prng,
    ring: KeyRing<1>,
    /// Tokens that viewers kept, of which the oldest have run out.
    kept: Vec<Ticket>,
}

impl Gate {
    /// The gate of a world's seed, with one key.
    pub(crate) fn new(seed: u64) -> Self {
        let mut prng = Prng::seeded(seed ^ 0x6a7e_0000);
        let mut secret = [0; 48];
        prng.fill(&mut secret);
        let secret = Secret::from_bytes(&secret).ok();
        let spec = secret.zip(KeyLabel::new("sim").ok()).map(|(secret, label)| KeySpec::new(label, secret));
        let ring = spec.and_then(|spec| KeyRing::build(&[spec], Policy::new(), SecretPolicy::Production).ok());
        let Some(ring) = ring else { unreachable!("one key with a random secret is a ring") };
        Self { prng, ring, kept: Vec::new() }
    }

    /// The ticket that a viewer of `asset` comes with.
    pub(crate) fn ticket(&mut self, asset: usize, assets: usize, issuer: Timestamp) -> Option<Ticket> {
        let other = self.below(assets);
        let mut ticket = match self.prng.below(10) {
            0 => self.issue(other, issuer)?,
            1 if !self.kept.is_empty() => {
                let at = self.below(self.kept.len());
                self.kept.get(at)?.clone()
            }
            _ => self.issue(asset, issuer)?,
        };
        if self.prng.below(10) == 0 {
            let at = self.below(ticket.text.len());
            ticket.text[at] ^= 1 << self.prng.below(7);
            ticket.altered = true;
        }
        if self.kept.len() < KEPT_MAX && !ticket.altered {
            self.kept.push(ticket.clone());
        }
        Some(ticket)
    }

    /// Whether an edge whose clock shows `now` lets the ticket's holder have `path` of `asset`.
    pub(crate) fn admits(&self, ticket: &Ticket, asset: usize, path: ArtifactPath, now: Timestamp) -> bool {
        let (Ok(of), Ok(now)) = (AssetRef::parse(&asset_id(asset).to_string()), UnixSecs::try_from(now.as_secs()))
        else {
            return false;
        };
        let path = path.to_string();
        let request = Request::new(&of, Artifact::new(ArtifactClass::Segment, &path), now);
        Verifier::playback(&self.ring).verify(&ticket.text, &request).is_ok()
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.prng.below(bound as u64)).unwrap_or(0)
    }

    fn issue(&self, asset: usize, issuer: Timestamp) -> Option<Ticket> {
        // Backdated, for edges whose clocks are behind.
        let from = issuer.as_secs().saturating_sub(BACKDATED_SECS);
        let of = AssetRef::parse(&asset_id(asset).to_string()).ok()?;
        let claims = Grant::playback(&of, ClassMask::HLS, TTL_SECS).build(UnixSecs::try_from(from).ok()?).ok()?;
        let text = Signer::new(&self.ring).sign(&claims).ok()?.as_bytes().to_vec();
        Some(Ticket { text, asset, window: (from, from + u64::from(TTL_SECS)), altered: false })
    }
}

/// A token lasts so long from its backdated issue.
const TTL_SECS: u32 = 420;
/// Tokens are issued as of so long ago.
const BACKDATED_SECS: u64 = 300;
/// Tokens that are kept for later.
const KEPT_MAX: usize = 100;
