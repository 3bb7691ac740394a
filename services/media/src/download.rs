//! Downloads: one rendition as one ordinary file, put together from its segments without an encoder.
//!
//! The headers of the segments are read first, since the description stands in front of the media; then the bytes of each
//! segment go from the store into the new object as they come. Memory holds the tables and a few chunks, and no disk is
//! used. What an attempt that was killed had put is no object yet, and the next one makes the same bytes.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use rend_core::artifact::{ArtifactPath, Lang, ObjectKey, Rendition};
use rend_core::asset::{Asset, DownloadState, Failure, Move, SourceState};
use rend_core::job::ErrorClass;
use rend_core::media::isobmff::{BoxError, Layout, Progressive, TrackKind, read_init};
use rend_core::media::playlist::{Media, PLAYLIST_BYTES_MAX};
use rend_storage::StoreError;
use rend_storage::assets::Change;
use rend_storage::objects::{ObjectBody, Put};

use crate::process::Attempt;
use crate::publish::SMALL;
use crate::trouble::Trouble;
use crate::worker::Advance;

impl Attempt<'_> {
    /// Makes every download that was asked for and is not there. One that can not be made does not stand in the way of the
    /// others.
    pub(crate) async fn deliver(&self) -> Result<(), Trouble> {
        let mut unmade = Ok(());
        loop {
            let asset = self.worker.ports.assets.get(self.shelf.asset).await?;
            let Some(rendition) = wanted(&asset) else { return unmade };
            match self.download(&asset, rendition).await {
                Ok(bytes) => {
                    if self.tell(Move::DownloadReady { rendition, bytes }).await? {
                        tracing::info!(asset = %asset.id, %rendition, bytes, "a download is ready");
                    } else {
                        // Nobody wants it any more; what was put meanwhile may have come after the removal looked.
                        let key = ObjectKey::artifact(asset.id, ArtifactPath::Download(rendition));
                        self.shelf.objects.delete(&key).await?;
                    }
                }
                Err(Trouble::Error(error)) if error.class == ErrorClass::Permanent => {
                    let failure = Failure { code: error.code.clone(), detail: error.detail.clone() };
                    if self.tell(Move::DownloadFailed { rendition, failure }).await? {
                        unmade = Err(Trouble::Error(error));
                    }
                }
                Err(trouble) => return Err(trouble),
            }
        }
    }

    /// Says of every download that is not there that it will not be.
    pub(crate) async fn undelivered(&self, failure: &Failure) -> Result<(), Trouble> {
        while let Some(rendition) = wanted(&self.worker.ports.assets.get(self.shelf.asset).await?) {
            self.tell(Move::DownloadFailed { rendition, failure: failure.clone() }).await?;
        }
        Ok(())
    }

    /// Makes the step, unless it does not follow any more. Answers whether it did.
    async fn tell(&self, step: Move) -> Result<bool, Trouble> {
        let now = self.shelf.clock.wall();
        let change =
            Change { asset: self.shelf.asset, expect: None, step, fence: Some(self.lease.clone()), enqueue: None, now };
        match self.worker.ports.assets.advance(&change).await {
            Ok(asset) => {
                (self.worker.notify)(Advance { asset, warm: Vec::new() });
                Ok(true)
            }
            Err(StoreError::Illegal(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts the file, and answers how long it is.
    async fn download(&self, asset: &Asset, rendition: Rendition) -> Result<u64, Trouble> {
        let mut parts = vec![self.of_rendition(rendition).await?];
        let init = read_init(&parts[0].init).map_err(unfit)?;
        if init.first(TrackKind::Audio).is_none()
            && let Some(sound) = asset.sound_beside()
        {
            parts.push(self.of_rendition(sound).await?);
        }
        let layout = self.lay_out(&parts).await?;
        let path = ArtifactPath::Download(rendition);
        let put = Put {
            content_type: path.content_type().to_owned(),
            len: Some(layout.bytes),
            sha256: None,
            now: self.shelf.clock.wall(),
        };
        let bytes = layout.bytes;
        let body = self.body(layout, &parts);
        self.shelf.objects.put(&ObjectKey::artifact(self.shelf.asset, path), put, body).await.map_err(missing)?;
        Ok(bytes)
    }

    /// What there is of a rendition.
    async fn of_rendition(&self, rendition: Rendition) -> Result<Part, Trouble> {
        let key = |path| ObjectKey::artifact(self.shelf.asset, path);
        let get = async |path, bytes_max| self.shelf.get(&key(path), bytes_max).await.map_err(missing);
        let (list, _) = get(ArtifactPath::Variant(rendition), PLAYLIST_BYTES_MAX as u64).await?;
        let list: Option<Media> = std::str::from_utf8(&list).ok().and_then(|text| text.parse().ok());
        let list = list.filter(|list| list.ended).ok_or_else(strange)?;
        let segment = |uri: &String| match format!("hls/{rendition}/{uri}").parse() {
            Ok(path @ ArtifactPath::Segment { .. }) => Ok(key(path)),
            Ok(_) | Err(_) => Err(strange()),
        };
        let segments = list.segments.iter().map(|entry| segment(&entry.uri)).collect::<Result<_, _>>()?;
        let (init, _) = get(ArtifactPath::Init(rendition), SMALL).await?;
        Ok(Part { init, lang: rendition.sound_lang().unwrap_or(Lang::UND), segments })
    }

    /// Reads the headers of all segments: the first of every part, then the second of every part, and so on.
    async fn lay_out(&self, parts: &[Part]) -> Result<Layout, Trouble> {
        let inits: Vec<(Bytes, Lang)> = parts.iter().map(|part| (part.init.clone(), part.lang)).collect();
        let mut file = Progressive::new(&inits).map_err(unfit)?;
        let count = parts.iter().map(|part| part.segments.len()).max().unwrap_or(0);
        let of = |(place, part): (usize, &Part), number: usize| Some((place, part.segments.get(number)?.clone()));
        let order: Vec<(usize, ObjectKey)> =
            (0..count).flat_map(|number| parts.iter().enumerate().filter_map(move |part| of(part, number))).collect();
        let heads =
            order.into_iter().map(|(part, key)| async move { self.header(&key).await.map(|header| (part, header)) });
        let mut heads = stream::iter(heads).buffered(READS_AT_ONCE);
        while let Some((part, (header, len))) = heads.try_next().await? {
            file.segment(part, &header, len).map_err(unfit)?;
        }
        file.finish().map_err(unfit)
    }

    /// A segment up to the end of its header at least, and how long all of it is.
    async fn header(&self, key: &ObjectKey) -> Result<(Bytes, u64), Trouble> {
        let (bytes, len) = self.shelf.get(key, HEADER_BYTES).await.map_err(missing)?;
        match Progressive::header_bytes(&bytes) {
            Some(wanted) if wanted > bytes.len() as u64 => {
                self.shelf.get(key, wanted.min(HEADER_BYTES_MAX)).await.map_err(missing)
            }
            Some(_) | None => Ok((bytes, len)),
        }
    }

    /// The bytes of the file, as they are wanted.
    fn body(&self, layout: Layout, parts: &[Part]) -> ObjectBody {
        let key = |part: usize, segment: u32| parts.get(part)?.segments.get(usize::try_from(segment).ok()?).cloned();
        let copied: Vec<_> =
            layout.copied.into_iter().map(|copied| (key(copied.part, copied.segment), copied.range)).collect();
        let objects = self.shelf.objects.clone();
        let opened = stream::iter(copied).map(move |(key, range)| {
            let objects = objects.clone();
            async move {
                let key = key.ok_or(StoreError::NotFound { what: "object" })?;
                objects.get(&key, Some(range)).await.map(|object| object.body)
            }
        });
        let head = layout.head;
        stream::once(async move { Ok(head) }).chain(opened.buffered(OPEN_AT_ONCE).try_flatten()).boxed()
    }
}

/// A rendition whose tracks go into the file.
struct Part {
    init: Bytes,
    lang: Lang,
    segments: Vec<ObjectKey>,
}

/// The next download that was asked for and is not there.
fn wanted(asset: &Asset) -> Option<Rendition> {
    let open = asset.downloads.iter().filter(|row| row.state == DownloadState::Pending);
    open.map(|row| row.rendition).next().filter(|_| asset.source == SourceState::Ready)
}

fn unfit(error: BoxError) -> Trouble {
    Trouble::permanent("not_downloadable", format!("the segments can not be put into one file: {error}"), "")
}

fn strange() -> Trouble {
    Trouble::permanent("not_downloadable", "the list of segments is none that a file can be made of", "")
}

/// What it means that the store did not do as asked.
fn missing(error: StoreError) -> Trouble {
    if matches!(error, StoreError::NotFound { .. }) {
        return Trouble::permanent("media_missing", "a segment of the rendition is gone; upload the video again", "");
    }
    error.into()
}

/// Bytes of a segment in which its header usually ends: about a thousand samples.
const HEADER_BYTES: u64 = 16 << 10;
/// Bytes that a segment's header has at most. One that has more is told to be cut short.
const HEADER_BYTES_MAX: u64 = 4 << 20;
/// Headers that are read side by side.
const READS_AT_ONCE: usize = 8;
/// Segments that are open side by side, so that the store is not waited for between two of them.
const OPEN_AT_ONCE: usize = 3;
