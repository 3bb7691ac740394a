//! Listing in the byte order of keys, from servers that list in it and from servers that list folder by folder.
//!
//! S3 lists `a`, `a-`, `a/b`, since `-` comes before `/`. Servers that keep keys as folders list `a`, `a/b`, `a-`, and
//! begin a page after a key in that order too, so that nothing in a page tells that something was left out. Both list the
//! names within one folder in an order that differs only in where a folder stands, so the walk goes folder by folder and
//! puts each in its place. It costs one request a folder, and is right on both.

use std::collections::BTreeMap;

use rend_core::artifact::ObjectKey;
use s3::serde_types::ListBucketResult;

use super::client::Client;
use super::fault::Fault;
use super::key::{PART_BYTES_MAX, piece, stored_prefix};

/// Up to `limit` keys that begin with `prefix` and come after `after`.
pub(super) async fn list(
    client: &Client,
    prefix: &str,
    after: Option<&ObjectKey>,
    limit: usize,
) -> Result<Vec<ObjectKey>, Fault> {
    let mut keys = Vec::new();
    if limit == 0 || !begins_a_key(prefix) {
        return Ok(keys);
    }
    let after = after.map_or("", ObjectKey::as_str);
    let mut levels = vec![Level::start(prefix, after)];
    while keys.len() < limit
        && let Some(level) = levels.last_mut()
    {
        match level.next() {
            Next::Object(key) => {
                // An object that somebody else put here may have a name that no key has.
                keys.extend(Some(key).filter(|key| key.as_str() > after).and_then(|key| key.parse().ok()));
            }
            Next::Folder(key, folder) => {
                if key.as_str() >= after || after.starts_with(&key) {
                    levels.push(Level::folder(key, folder, after));
                }
            }
            Next::Page => level.read(client, limit - keys.len()).await?,
            Next::End => drop(levels.pop()),
        }
    }
    Ok(keys)
}

/// One folder while it is walked.
struct Level {
    /// What the keys in it begin with.
    key: String,
    /// What names in the bucket are asked for: the folder's own, or more for the folder in which a prefix ends.
    asked: String,
    /// The folder in the bucket; the names in it begin with this.
    folder: String,
    /// Names up to this one are not wanted.
    start_after: Option<String>,
    /// The rest of the folder, unless all was read.
    rest: Rest,
    /// What was read and not yet handed on, by key; a folder's key ends with `/` and has its name in the bucket beside it.
    pending: BTreeMap<String, Option<String>>,
    /// Everything up to this key was read.
    seen: String,
}

enum Rest {
    First,
    From(String),
    Nothing,
}

enum Next {
    Object(String),
    Folder(String, String),
    Page,
    End,
}

impl Level {
    fn start(prefix: &str, after: &str) -> Self {
        let asked = stored_prefix(prefix);
        let folder = asked.rfind('/').map_or("", |end| &asked[..=end]).to_owned();
        let key = folder.replace("+/", "");
        Self { asked, ..Self::folder(key, folder, after) }
    }

    fn folder(key: String, folder: String, after: &str) -> Self {
        let start_after =
            after.strip_prefix(key.as_str()).and_then(|rest| begin_before(rest)).map(|n| folder.clone() + n);
        Self {
            asked: folder.clone(),
            key,
            folder,
            start_after,
            rest: Rest::First,
            pending: BTreeMap::new(),
            seen: String::new(),
        }
    }

    fn next(&mut self) -> Next {
        let is_whole = matches!(self.rest, Rest::Nothing);
        match self.pending.first_entry() {
            Some(first) if is_whole || *first.key() <= self.seen => match first.remove_entry() {
                (key, Some(folder)) => Next::Folder(key, folder),
                (key, None) => Next::Object(key),
            },
            None if is_whole => Next::End,
            Some(_) | None => Next::Page,
        }
    }

    async fn read(&mut self, client: &Client, wanted: usize) -> Result<(), Fault> {
        let (token, start_after) = match std::mem::replace(&mut self.rest, Rest::Nothing) {
            Rest::First => (None, self.start_after.take()),
            Rest::From(token) => (Some(token), None),
            Rest::Nothing => return Ok(()),
        };
        let page = client.page(&self.asked, token, start_after, (wanted + 1).clamp(PAGE_MIN, PAGE_MAX)).await?;
        self.rest = rest_of(&page)?;
        let mut pieces = Vec::new();
        self.take(client, &page, &self.key.clone(), &self.folder.clone(), &mut pieces);
        // Pieces of long parts are put together on the way; Rend makes no such keys, so there are few.
        while let Some((key, folder)) = pieces.pop() {
            let mut rest = Rest::First;
            loop {
                let token = match rest {
                    Rest::First => None,
                    Rest::From(token) => Some(token),
                    Rest::Nothing => break,
                };
                let page = client.page(&folder, token, None, PAGE_MAX).await?;
                rest = rest_of(&page)?;
                let seen = self.seen.clone();
                self.take(client, &page, &key, &folder, &mut pieces);
                self.seen = seen;
            }
        }
        Ok(())
    }

    /// Takes in the names of `page`, all in `folder`, whose keys begin with `key`.
    fn take(
        &mut self,
        client: &Client,
        page: &ListBucketResult,
        key: &str,
        folder: &str,
        pieces: &mut Vec<(String, String)>,
    ) {
        let within = |name: &'_ str| client.strip(name)?.strip_prefix(folder).map(str::to_owned);
        for name in page.contents.iter().filter_map(|object| within(&object.key)) {
            let key = format!("{key}{name}");
            self.seen = std::mem::take(&mut self.seen).max(key.clone());
            self.pending.insert(key, None);
        }
        for inner in page.common_prefixes.iter().flatten().filter_map(|inner| within(&inner.prefix)) {
            let name = inner.trim_end_matches('/');
            self.seen = std::mem::take(&mut self.seen).max(format!("{key}{name}"));
            match piece(name) {
                Some(piece) => pieces.push((format!("{key}{piece}"), format!("{folder}{inner}"))),
                None => {
                    self.pending.insert(format!("{key}{name}/"), Some(format!("{folder}{inner}")));
                }
            }
        }
    }
}

fn rest_of(page: &ListBucketResult) -> Result<Rest, Fault> {
    match (page.is_truncated, &page.next_continuation_token) {
        (false, _) => Ok(Rest::Nothing),
        (true, Some(token)) => Ok(Rest::From(token.clone())),
        (true, None) => Err(Fault::Odd { what: "a listing that goes on without saying where" }),
    }
}

/// Whether any key can begin with `prefix`.
fn begins_a_key(prefix: &str) -> bool {
    prefix.parse::<ObjectKey>().is_ok() || format!("{prefix}a").parse::<ObjectKey>().is_ok()
}

/// A name before every name of a folder that may hold a key after the one that goes on with `rest`, as late as can be
/// said at once; `None` for the beginning.
///
/// A folder whose name is the beginning of `rest` up to a `-` or `.` comes after it, since `/` does.
fn begin_before(rest: &str) -> Option<&str> {
    let part = rest.split('/').next().unwrap_or(rest);
    let part = &part[..part.len().min(PART_BYTES_MAX)];
    let short = part.find(['-', '.']).map_or(part, |end| &part[..end]);
    short.len().checked_sub(1).filter(|len| *len > 0).map(|len| &short[..len])
}

/// Names that are asked for at once.
const PAGE_MIN: usize = 16;
/// Names that S3 gives at once at most.
const PAGE_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rest: &str, expect: Option<&str>) {
        assert_eq!(begin_before(rest), expect);
    }

    #[test]
    fn a_folder_begins_before_every_name_that_may_hold_what_is_wanted() {
        check("segment_00012.m4s", Some("segment_0001"));
        check("hls/720p/x", Some("hl"));
        check("a-b/c", None);
        check("ab-c", Some("a"));
        check("-x", None);
        check("", None);
        check(&"x".repeat(300), Some(&"x".repeat(199)));
    }

    #[test]
    fn what_no_key_begins_with_is_not_asked_for() {
        for prefix in ["", "a", "a/", "a/.", "a/b-", &"x".repeat(512)] {
            assert!(begins_a_key(prefix), "{prefix:?}");
        }
        for prefix in ["/", "a//", "../", "a/../b", "A", "a/@", "ä", &"x".repeat(513)] {
            assert!(!begins_a_key(prefix), "{prefix:?}");
        }
    }
}
