//! Listing in the byte order of keys, which is not the order of folders.

use std::io;
use std::path::{Path, PathBuf};

use rend_core::artifact::ObjectKey;

use super::{found, layout, newest};

/// Up to `limit` keys under `objects` that begin with `prefix` and come after `after`.
pub(super) fn list(
    objects: &Path,
    prefix: &str,
    after: Option<&ObjectKey>,
    limit: usize,
) -> io::Result<Vec<ObjectKey>> {
    let start = match prefix.rfind('/') {
        None => Step { key: String::new(), folder: objects.to_owned(), whole: true },
        // Whole parts of the prefix name the one folder that has to be read. What is no key begins none.
        Some(end) => match prefix[..end].parse::<ObjectKey>() {
            Ok(parent) => {
                let folder = layout::folder(objects, parent.as_str());
                Step { key: prefix[..=end].to_owned(), folder, whole: true }
            }
            Err(_) => return Ok(Vec::new()),
        },
    };
    let after = after.map_or("", ObjectKey::as_str);
    let mut keys = Vec::new();
    let mut steps = vec![start];
    while keys.len() < limit
        && let Some(step) = steps.pop()
    {
        if step.whole {
            if !step.may_hold(prefix, after) {
                continue;
            }
            let mut found = Vec::new();
            gather(&step.key, &step.folder, &mut found)?;
            // The last is taken first.
            found.sort_unstable_by(|a, b| b.key.cmp(&a.key));
            steps.append(&mut found);
        } else if step.key.as_str() > after && step.key.starts_with(prefix) && newest(&step.folder)?.is_some() {
            // A folder that somebody else made here may have a name that no key has.
            keys.extend(step.key.parse::<ObjectKey>());
        }
    }
    Ok(keys)
}

/// One thing to look at: the object named `key`, or everything under it when it ends with `/`.
///
/// The two are apart because other keys come between them: `a` < `a-b` < `a/c`.
struct Step {
    key: String,
    folder: PathBuf,
    whole: bool,
}

impl Step {
    /// Whether a key that is wanted can begin with this one.
    fn may_hold(&self, prefix: &str, after: &str) -> bool {
        let in_prefix = self.key.starts_with(prefix) || prefix.starts_with(&self.key);
        let past = self.key.as_str() >= after || after.starts_with(&self.key);
        in_prefix && past
    }
}

/// The folders in `folder`, each as an object and as a whole. Pieces of a long part are put together on the way.
fn gather(key: &str, folder: &Path, steps: &mut Vec<Step>) -> io::Result<()> {
    let Some(entries) = found(std::fs::read_dir(folder))? else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if !entry.file_type()?.is_dir() {
            continue;
        }
        if let Some(piece) = name.strip_suffix(layout::MORE) {
            gather(&format!("{key}{piece}"), &entry.path(), steps)?;
        } else {
            steps.push(Step { key: format!("{key}{name}"), folder: entry.path(), whole: false });
            steps.push(Step { key: format!("{key}{name}/"), folder: entry.path(), whole: true });
        }
    }
    Ok(())
}
