//! What every [`CredentialStore`] must do.

use rend_core::credential::{Credential, Scope, Scopes};
use rend_core::id::CredentialId;

use super::make::{at, org_id};
use crate::StoreError;
use crate::credentials::CredentialStore;

/// What was inserted is found by its digest, each field of it.
pub async fn a_credential_is_found_by_its_digest(store: &impl CredentialStore) {
    let plain = credential(1);
    let full = Credential {
        scopes: Scopes::NONE,
        expires_at: Some(at(9)),
        last_used_at: Some(at(8)),
        revoked_at: Some(at(7)),
        name: "Ünïcödé \"quotes\"".into(),
        prefix: String::new(),
        ..credential(2)
    };
    for held in [plain, full] {
        store.insert(&held).await.unwrap();
        assert_eq!(store.by_digest(&held.digest).await.unwrap(), held);
    }
}

/// A digest that nobody has finds nothing, however near.
pub async fn an_unknown_digest_is_not_found(store: &impl CredentialStore) {
    store.insert(&credential(1)).await.unwrap();
    let mut near = credential(1).digest;
    near[31] ^= 1;
    for unknown in [near, [0; 32], [255; 32]] {
        assert!(matches!(store.by_digest(&unknown).await, Err(StoreError::NotFound { .. })));
    }
}

/// Neither an id nor a digest is taken twice; what was there stays.
pub async fn an_id_and_a_digest_are_taken_once(store: &impl CredentialStore) {
    store.insert(&credential(1)).await.unwrap();
    let same_id = Credential { digest: [9; 32], ..credential(1) };
    let same_digest = Credential { digest: credential(1).digest, ..credential(2) };
    for taken in [same_id, same_digest] {
        let refused = store.insert(&taken).await;
        assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    }
    assert_eq!(store.list(org_id(1)).await.unwrap(), [credential(1)]);
    assert!(matches!(store.by_digest(&[9; 32]).await, Err(StoreError::NotFound { .. })));
}

/// An organisation's credentials come oldest first, whatever their state, and nobody else's.
pub async fn credentials_are_listed_oldest_first(store: &impl CredentialStore) {
    for n in [3, 1, 4, 2] {
        let org = if n == 4 { org_id(2) } else { org_id(1) };
        store.insert(&Credential { org, ..credential(n) }).await.unwrap();
    }
    store.revoke(credential(2).id, at(5)).await.unwrap();
    let revoked = Credential { revoked_at: Some(at(5)), ..credential(2) };
    assert_eq!(store.list(org_id(1)).await.unwrap(), [credential(1), revoked, credential(3)]);
    assert_eq!(store.list(org_id(3)).await.unwrap(), []);
}

/// Revoking again does not move the time of the first.
pub async fn the_first_revocation_stays(store: &impl CredentialStore) {
    store.insert(&credential(1)).await.unwrap();
    store.insert(&credential(2)).await.unwrap();
    for now in [50, 60, 40] {
        store.revoke(credential(1).id, at(now)).await.unwrap();
    }
    let revoked = Credential { revoked_at: Some(at(50)), ..credential(1) };
    assert_eq!(store.by_digest(&credential(1).digest).await.unwrap(), revoked);
    assert_eq!(store.by_digest(&credential(2).digest).await.unwrap(), credential(2));
}

/// The last use is the latest, also when notes of it arrive late.
pub async fn the_last_use_is_the_latest(store: &impl CredentialStore) {
    store.insert(&credential(1)).await.unwrap();
    for (now, latest) in [(50, 50), (60, 60), (55, 60)] {
        store.touch(credential(1).id, at(now)).await.unwrap();
        let touched = Credential { last_used_at: Some(at(latest)), ..credential(1) };
        assert_eq!(store.by_digest(&credential(1).digest).await.unwrap(), touched);
    }
}

/// What was never inserted can be neither revoked nor touched.
pub async fn an_absent_credential_is_not_found(store: &impl CredentialStore) {
    store.insert(&credential(1)).await.unwrap();
    assert!(matches!(store.revoke(credential(2).id, at(1)).await, Err(StoreError::NotFound { .. })));
    assert!(matches!(store.touch(credential(2).id, at(1)).await, Err(StoreError::NotFound { .. })));
    assert_eq!(store.list(org_id(1)).await.unwrap(), [credential(1)]);
}

fn credential(n: u8) -> Credential {
    Credential {
        id: CredentialId::new(at(u64::from(n)), [n; 10]),
        org: org_id(1),
        name: format!("key {n}"),
        prefix: "rend_abc".into(),
        digest: [n; 32],
        scopes: Scopes::NONE.with(Scope::Upload).with(Scope::Admin),
        created_at: at(u64::from(n)),
        expires_at: None,
        last_used_at: None,
        revoked_at: None,
    }
}

/// Mounts what every `CredentialStore` must do; see [`conformance`](crate::conformance).
#[macro_export]
macro_rules! credential_store_conformance {
    ($(#[$attribute:meta])* $block_on:path, $make:expr) => {
        $crate::mount_cases! { credentials [$(#[$attribute])*] $block_on, $make;
            a_credential_is_found_by_its_digest
            an_unknown_digest_is_not_found
            an_id_and_a_digest_are_taken_once
            credentials_are_listed_oldest_first
            the_first_revocation_stays
            the_last_use_is_the_latest
            an_absent_credential_is_not_found
        }
    };
}
