//! What the S3-compatible server can do, and what to do about what it cannot.

use rend_core::config::{Settings, variable as v};
use rend_core::time::Clock;
use rend_shell::SystemClock;
use rend_storage::s3::{Ability, S3Config, S3Objects};

use super::Finding;

/// What was found, or nothing when objects lie in a folder and nobody `asked` for a bucket.
pub(super) async fn look(settings: &Settings, asked: bool) -> Vec<Finding> {
    if settings.path(&v::REND_OBJECT_STORE_DIR).is_some() && !asked {
        return Vec::new();
    }
    let Some(config) = S3Config::from_settings(settings) else {
        let unset = Finding {
            good: false,
            what: "no S3-compatible storage is named".into(),
            fix: Some("set S3_ENDPOINT, S3_BUCKET, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".into()),
        };
        return if asked { vec![unset] } else { Vec::new() };
    };
    let objects = match S3Objects::new(&config) {
        Ok(objects) => objects,
        Err(error) => {
            let fix = Some("S3_BUCKET and S3_PREFIX say which".into());
            return vec![Finding { good: false, what: format!("the object storage: {error}"), fix }];
        }
    };
    let word = rend_shell::entropy::<8>().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let probed = objects.probe(&word, SystemClock::start().wall()).await;
    let finding = |found: rend_storage::s3::Finding| match found.lacks {
        None => Finding { good: true, what: format!("the object storage {}", found.ability), fix: None },
        Some(why) => Finding {
            good: !found.ability.is_needed(),
            what: format!("the object storage is to be one that {}: {why}", found.ability),
            fix: Some(fix(found.ability, &why).into()),
        },
    };
    probed.findings.into_iter().map(finding).collect()
}

fn fix(ability: Ability, why: &str) -> &'static str {
    let says = |word: &str| why.contains(word);
    if says("NoSuchBucket") {
        "make the bucket that S3_BUCKET names; Rend makes none"
    } else if says("SignatureDoesNotMatch") {
        "AWS_SECRET_ACCESS_KEY is not the secret of that key, or S3_REGION is another"
    } else if says("InvalidAccessKeyId") {
        "the server does not know AWS_ACCESS_KEY_ID"
    } else if says("AccessDenied") || says("403") {
        "give that key the right to list, read, write and delete in the bucket"
    } else if says("cannot be reached") {
        "look whether S3_ENDPOINT is right and a firewall lets through"
    } else if ability.is_needed() {
        "use another server, or a newer version of this one; Rend needs it"
    } else {
        "nothing: Rend does without it"
    }
}
