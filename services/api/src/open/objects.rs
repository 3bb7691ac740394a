use std::path::Path;
use std::sync::Arc;

use rend_core::config::{Settings, variable as v};
use rend_storage::fs::FsObjects;
use rend_storage::objects::ObjectStore;
use rend_storage::s3::{S3Config, S3Objects, Trouble};

use super::explain;

/// The object store that `settings` name: a folder, else a bucket.
pub(super) async fn open(settings: &Settings) -> Result<Arc<dyn ObjectStore>, String> {
    if let Some(folder) = settings.path(&v::REND_OBJECT_STORE_DIR).map(Path::to_path_buf) {
        let said = |e| format!("REND_OBJECT_STORE_DIR={}: {}", folder.display(), explain(&e));
        return Ok(Arc::new(FsObjects::open(&folder).map_err(said)?));
    }
    let config = S3Config::from_settings(settings).ok_or("neither REND_OBJECT_STORE_DIR nor S3_ENDPOINT is set")?;
    let objects = S3Objects::new(&config).map_err(|e| format!("S3_ENDPOINT: {}", explain(&e)))?;
    match objects.check().await {
        Ok(()) => {}
        Err(Trouble::Refused(why)) => {
            return Err(format!("S3_BUCKET={}: {why}; `rend doctor` says what to do", config.bucket));
        }
        // It may come back, and readiness tells while it does not.
        Err(Trouble::Away(why)) => tracing::warn!(%why, "the object storage is away"),
    }
    Ok(Arc::new(objects))
}
