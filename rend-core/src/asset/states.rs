//! The words for where an asset stands.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// Every one, in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The word for it in APIs and databases.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                Self::ALL.iter().copied().find(|known| known.as_str() == word).ok_or(UnknownWord)
            }
        }
    };
}
pub(crate) use named;

/// The word names none of the known values. Trying again will not help.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not a known word")]
pub struct UnknownWord;

named! {
    /// Where the original stands.
    SourceState {
        /// The asset exists; nothing has arrived.
        Pending = "pending",
        /// Bytes are arriving.
        Uploading = "uploading",
        /// The original is stored and checked.
        Uploaded = "uploaded",
        /// A worker is at it.
        Processing = "processing",
        /// All is made.
        Ready = "ready",
        /// It can not be made playable.
        Failed = "failed",
        /// It is gone, or going.
        Deleted = "deleted",
    }
}

impl SourceState {
    /// Whether the asset has neither failed nor been deleted.
    pub const fn is_live(self) -> bool {
        !matches!(self, Self::Failed | Self::Deleted)
    }
}

named! {
    /// What a viewer can do with an asset.
    PlayableState {
        /// Nothing yet.
        NotPlayable = "not_playable",
        /// The first seconds play, and more is coming.
        OpenerReady = "opener_ready",
        /// Everything plays.
        HlsReady = "hls_ready",
        /// It never will play as it is.
        Failed = "failed",
        /// It is gone.
        Deleted = "deleted",
    }
}

impl PlayableState {
    /// Whether a viewer can start playback.
    pub const fn is_playable(self) -> bool {
        matches!(self, Self::OpenerReady | Self::HlsReady)
    }
}

named! {
    /// Who may play an asset.
    PlaybackPolicy {
        /// Whoever has the URL of the player page.
        Public = "public",
        /// Whoever the owner's server vouches for.
        Signed = "signed",
    }
}
