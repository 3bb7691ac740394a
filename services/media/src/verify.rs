//! What was made, read back as a viewer would and held against the rules of HLS.

use futures::{StreamExt, TryStreamExt};
use rend_core::artifact::{ArtifactPath, ObjectKey};
use rend_core::media::check::{Broken, Described, List, Presentation, Segment, lists_of, parts_of, presentation};

use crate::publish::{SMALL, Shelf};
use crate::trouble::Trouble;

impl Shelf {
    /// Every rule that the stored presentation breaks.
    pub(crate) async fn verify(&self) -> Result<Vec<Broken>, Trouble> {
        let mut all = Presentation { master: self.text(MASTER).await?.unwrap_or_default(), ..Presentation::default() };
        for uri in lists_of(&all.master) {
            let text = self.text(&uri).await?.unwrap_or_default();
            let (map, segments) = parts_of(&text);
            let folder = uri.rsplit_once('/').map_or("", |(folder, _)| folder);
            let mut list = List { uri: uri.clone(), text, ..List::default() };
            if let Some(map) = map {
                let head = self.head(&format!("{folder}/{map}")).await?;
                list.init = head.and_then(|(bytes, _)| Described::read(&bytes).ok());
            }
            let keys_only = list.text.lines().any(|line| line == "#EXT-X-I-FRAMES-ONLY");
            if let (Some(described), false) = (&list.init, keys_only) {
                let reads = segments.into_iter().map(|name: String| async move {
                    let head = self.head(&format!("{folder}/{name}")).await?;
                    let read = head.and_then(|(bytes, len)| Segment::read(&described.init, &bytes, len).ok());
                    Ok::<_, Trouble>(read)
                });
                let read: Vec<_> = futures::stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await?;
                // One that is missing or can not be read makes the list shorter than it says, which is a finding.
                list.segments = read.into_iter().map_while(|segment| segment).collect();
            }
            all.lists.push(list);
        }
        Ok(presentation(&all))
    }

    async fn text(&self, name: &str) -> Result<Option<String>, Trouble> {
        Ok(self.object(name, u64::MAX).await?.map(|(bytes, _)| String::from_utf8_lossy(&bytes).into_owned()))
    }

    async fn head(&self, name: &str) -> Result<Option<(bytes::Bytes, u64)>, Trouble> {
        self.object(name, SMALL).await
    }

    /// An object by its name beside the multivariant playlist; `None` when there is none, or can be none.
    async fn object(&self, name: &str, bytes_max: u64) -> Result<Option<(bytes::Bytes, u64)>, Trouble> {
        let Ok(path) = format!("hls/{name}").parse::<ArtifactPath>() else { return Ok(None) };
        match self.get(&ObjectKey::artifact(self.asset, path), bytes_max).await {
            Ok(read) => Ok(Some(read)),
            Err(rend_storage::StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

const MASTER: &str = "master.m3u8";
/// Segments read at once.
const READS_AT_ONCE: usize = 8;
