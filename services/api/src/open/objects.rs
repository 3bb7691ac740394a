use std::path::Path;
use std::sync::Arc;

use rend_core::config::{Settings, variable as v};
use rend_storage::fs::FsObjects;
use rend_storage::objects::ObjectStore;

use super::explain;

/// The object store that `settings` name.
pub(super) async fn open(settings: &Settings) -> Result<Arc<dyn ObjectStore>, String> {
    let folder =
        settings.path(&v::REND_OBJECT_STORE_DIR).map(Path::to_path_buf).ok_or("REND_OBJECT_STORE_DIR is not set")?;
    let objects =
        FsObjects::open(&folder).map_err(|e| format!("REND_OBJECT_STORE_DIR={}: {}", folder.display(), explain(&e)))?;
    Ok(Arc::new(objects))
}
