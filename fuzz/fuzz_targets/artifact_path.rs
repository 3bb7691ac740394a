//! Two texts never give one path, and what a path prints reads back.
#![no_main]
use rend_core::artifact::{ArtifactPath, ObjectKey};
use rend_core::id::AssetId;
use rend_fuzz::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(path) = text.parse::<ArtifactPath>() {
        assert_eq!(path.to_string(), text);
        let key = ObjectKey::artifact(AssetId::from_bytes([7; 16]), path);
        assert_eq!(key.as_str().parse(), Ok(key.clone()));
    }
});
