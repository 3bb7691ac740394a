use super::*;
use crate::artifact::CaptionRef;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn failure() -> Failure {
    Failure { code: "x".into(), detail: "y".into() }
}

fn media() -> MediaFacts {
    MediaFacts {
        container: "mov".into(),
        duration_ms: 1000,
        width: 640,
        height: 360,
        millifps: 25_000,
        video_codec: "h264".into(),
        audio_codec: String::new(),
        notes: Vec::new(),
    }
}

fn captions(lang: &str, default: bool) -> CaptionRow {
    CaptionRow {
        captions: CaptionRef { lang: lang.parse().unwrap(), version: 7 },
        label: "English".into(),
        kind: CaptionKind::Subtitles,
        default,
        origin: CaptionOrigin::Given,
        cues: 3,
        published: false,
    }
}

fn asset(source: SourceState, playable: PlayableState, stored: bool) -> Asset {
    let (id, org) = (AssetId::from_bytes([1; 16]), OrgId::from_bytes([2; 16]));
    let mut asset = Asset::new(id, org, "t".into(), PlaybackPolicy::Signed, Timestamp::EPOCH);
    (asset.source, asset.playable) = (source, playable);
    asset.stored = stored.then_some(StoredSource { bytes: 7, sha256: [3; 32] });
    asset.renditions =
        vec![RenditionRow { rendition: Rendition::P360, state: RenditionState::Planned, bandwidth: None }];
    let ready = |rendition| RenditionRow { rendition, state: RenditionState::Ready, bandwidth: Some(9) };
    asset.renditions.push(ready(Rendition::P480));
    asset.downloads = vec![DownloadRow { rendition: Rendition::P480, state: DownloadState::Failed(failure()) }];
    asset.captions = vec![captions("de", false)];
    asset
}

fn moves() -> Vec<Move> {
    vec![
        Move::BeginUpload,
        Move::SourceStored(StoredSource { bytes: 9, sha256: [4; 32] }),
        Move::BeginProcessing,
        Move::Planned { media: media(), renditions: vec![Rendition::P360, Rendition::P720] },
        Move::RenditionReady { rendition: Rendition::P360, bandwidth: 800_000 },
        Move::RenditionReady { rendition: Rendition::P1080, bandwidth: 1 },
        Move::RenditionFailed { rendition: Rendition::P360, failure: failure() },
        Move::OpenerReady { took_ms: 70 },
        Move::HlsReady { degraded: false },
        Move::HlsReady { degraded: true },
        Move::Fail(failure()),
        Move::Retry,
        Move::Edit(Edit { title: Some("new".into()), ..Edit::default() }),
        Move::StoreCaptions(captions("en", true)),
        Move::RemoveCaptions("de".parse().unwrap()),
        Move::CaptionsPublished(vec![captions("de", false).captions]),
        Move::RequestDownload(Rendition::P360),
        Move::RequestDownload(Rendition::P480),
        Move::DownloadReady { rendition: Rendition::P480, bytes: 9 },
        Move::DownloadReady { rendition: Rendition::P360, bytes: 9 },
        Move::DownloadFailed { rendition: Rendition::P480, failure: failure() },
        Move::RemoveDownload(Rendition::P480),
        Move::RemoveDownload(Rendition::P360),
        Move::RequestDeletion,
        Move::Deleted,
    ]
}

/// The table of moves, written down once more and in another way than the code has it: where each leads.
fn leads_to(
    source: SourceState,
    playable: PlayableState,
    stored: bool,
    step: &Move,
) -> Option<(SourceState, PlayableState)> {
    use PlayableState as P;
    use SourceState as S;
    match (step, source, playable) {
        (Move::BeginUpload, S::Pending, p) => Some((S::Uploading, p)),
        (Move::SourceStored(_), S::Uploading, p) => Some((S::Uploaded, p)),
        (Move::BeginProcessing, S::Uploaded | S::Processing, p) => Some((S::Processing, p)),
        (Move::Planned { .. } | Move::RenditionFailed { .. }, S::Processing, p) => Some((S::Processing, p)),
        (Move::RenditionReady { rendition: Rendition::P360, .. }, S::Processing, p) => Some((S::Processing, p)),
        (Move::OpenerReady { .. }, S::Processing, P::NotPlayable | P::OpenerReady) => {
            Some((S::Processing, P::OpenerReady))
        }
        (Move::HlsReady { .. }, S::Processing, P::NotPlayable | P::OpenerReady | P::HlsReady) => {
            Some((S::Ready, P::HlsReady))
        }
        (Move::Fail(_), S::Pending | S::Uploading | S::Uploaded | S::Processing, _) => Some((S::Failed, P::Failed)),
        (Move::Retry, S::Failed, _) if stored => Some((S::Uploaded, P::NotPlayable)),
        (Move::Edit(_), s, p) if s != S::Deleted => Some((s, p)),
        (Move::StoreCaptions(_) | Move::RemoveCaptions(_) | Move::CaptionsPublished(_), s, p) if s != S::Deleted => {
            Some((s, p))
        }
        (
            Move::RequestDownload(Rendition::P480)
            | Move::DownloadReady { rendition: Rendition::P480, .. }
            | Move::DownloadFailed { rendition: Rendition::P480, .. },
            S::Ready,
            p,
        ) => Some((S::Ready, p)),
        (Move::RemoveDownload(Rendition::P480), s, p) if s != S::Deleted => Some((s, p)),
        (Move::RequestDeletion, s, _) if s != S::Deleted => Some((S::Deleted, P::Deleted)),
        (Move::Deleted, S::Deleted, p) => Some((S::Deleted, p)),
        _ => None,
    }
}

#[test]
fn every_move_from_every_pair_of_states_leads_where_the_table_says_or_nowhere() {
    let mut legal = 0;
    for source in SourceState::ALL {
        for playable in PlayableState::ALL {
            for stored in [false, true] {
                let before = asset(*source, *playable, stored);
                for step in moves() {
                    let found = before.after(&step, NOW);
                    let expect = leads_to(*source, *playable, stored, &step);
                    let said = format!("{source} {playable} stored={stored} {step:?}");
                    assert_eq!(found.as_ref().ok().map(|(next, _)| (next.source, next.playable)), expect, "{said}");
                    match found {
                        Ok((next, _)) => {
                            legal += 1;
                            assert_eq!((next.revision, next.updated_at), (before.revision + 1, NOW), "{said}");
                            assert_eq!(
                                (next.id, next.org, next.created_at),
                                (before.id, before.org, before.created_at)
                            );
                        }
                        Err(illegal) => {
                            assert_eq!((illegal.original, illegal.playable), (*source, *playable), "{said}");
                        }
                    }
                }
            }
        }
    }
    assert!(legal > 100, "{legal}");
}

#[test]
fn nothing_of_a_deleted_asset_can_ever_play_again() {
    for playable in PlayableState::ALL {
        let gone = asset(SourceState::Deleted, *playable, true);
        for step in moves() {
            if let Ok((next, _)) = gone.after(&step, NOW) {
                assert_eq!((next.source, next.playable), (SourceState::Deleted, *playable), "{step:?}");
                assert_eq!(step, Move::Deleted);
            }
        }
    }
}

#[test]
fn a_video_that_went_all_the_way_has_one_event_a_step() {
    let mut video = asset(SourceState::Pending, PlayableState::NotPlayable, false);
    let mut names = Vec::new();
    for step in [
        Move::BeginUpload,
        Move::SourceStored(StoredSource { bytes: 9, sha256: [4; 32] }),
        Move::BeginProcessing,
        Move::Planned { media: media(), renditions: vec![Rendition::P360, Rendition::P720] },
        Move::OpenerReady { took_ms: 70 },
        Move::RenditionReady { rendition: Rendition::P360, bandwidth: 800_000 },
        Move::RenditionFailed { rendition: Rendition::P720, failure: failure() },
        Move::HlsReady { degraded: false },
    ] {
        let (next, event) = video.after(&step, NOW).unwrap();
        names.push(event.name());
        video = next;
    }
    assert_eq!(
        names,
        [
            "source.upload_started",
            "source.uploaded",
            "media.processing_started",
            "media.planned",
            "playable_state.changed",
            "rendition.ready",
            "rendition.failed",
            "playable_state.changed"
        ]
    );
    assert!(video.degraded, "a failed rung shows");
    assert_eq!(video.renditions[0].bandwidth, Some(800_000));
    assert_eq!(video.revision, 9);
}

#[test]
fn a_retry_forgets_the_failure_and_keeps_the_original() {
    let failed = asset(SourceState::Processing, PlayableState::OpenerReady, true);
    let (failed, _) = failed.after(&Move::Fail(failure()), NOW).unwrap();
    let (again, event) = failed.after(&Move::Retry, NOW).unwrap();
    assert_eq!((again.failure, again.renditions.len(), again.degraded), (None, 0, false));
    assert!(again.stored.is_some());
    assert_eq!(event, EventKind::ProcessingQueued);
}

#[test]
fn an_edit_changes_what_it_names_and_nothing_else() {
    let before = asset(SourceState::Ready, PlayableState::HlsReady, true);
    let edit = Edit { external_id: Some(Some("x".into())), policy: Some(PlaybackPolicy::Public), ..Edit::default() };
    let (after, _) = before.after(&Move::Edit(edit), NOW).unwrap();
    assert_eq!((after.title.as_str(), after.external_id.as_deref()), ("t", Some("x")));
    assert_eq!((after.policy, after.metadata), (PlaybackPolicy::Public, before.metadata));
}

fn stored(asset: &Asset, row: CaptionRow) -> Asset {
    asset.after(&Move::StoreCaptions(row), NOW).unwrap().0
}

#[test]
fn a_language_has_captions_once_and_one_language_is_shown_by_default() {
    let none = asset(SourceState::Ready, PlayableState::HlsReady, true);
    let one = stored(&none, captions("en", true));
    let newer = CaptionRef { version: 9, ..captions("en", true).captions };
    let again = CaptionRow { captions: newer, published: true, ..captions("en", true) };
    let two = stored(&one, again);
    let three = stored(&two, captions("fr", true));
    let shown: Vec<_> =
        three.captions.iter().map(|row| (row.captions.to_string(), row.default, row.published)).collect();
    let expect = [("de_00000007", false, false), ("en_00000009", false, false), ("fr_00000007", true, false)];
    assert_eq!(shown, expect.map(|(name, default, published)| (name.to_owned(), default, published)));
    let published = Move::CaptionsPublished(vec![newer]);
    let after = three.after(&published, NOW).unwrap().0;
    assert_eq!(after.captions.iter().map(|row| row.published).collect::<Vec<_>>(), [false, true, false]);
    let gone = after.after(&Move::RemoveCaptions(newer.lang), NOW).unwrap().0;
    assert!(gone.captions_in(newer.lang).is_none());
    assert!(gone.after(&Move::RemoveCaptions(newer.lang), NOW).is_err());
}

#[test]
fn what_the_original_holds_does_not_replace_what_somebody_gave() {
    let original = |lang| CaptionRow { origin: CaptionOrigin::Original, ..captions(lang, false) };
    let given = asset(SourceState::Processing, PlayableState::NotPlayable, true);
    assert!(given.after(&Move::StoreCaptions(original("de")), NOW).is_err());
    let found = stored(&given, original("en"));
    assert_eq!(stored(&found, original("en")).captions.len(), 2);
    assert_eq!(stored(&found, captions("en", false)).captions[1].origin, CaptionOrigin::Given);
}

#[test]
fn an_asset_has_captions_in_so_many_languages_and_no_more() {
    let mut full = asset(SourceState::Ready, PlayableState::HlsReady, true);
    for n in 1..u8::try_from(CAPTIONS_MAX).unwrap() {
        let lang = format!("x{}-{n:02}", char::from(b'a' + n % 26));
        full = stored(&full, captions(&lang, false));
    }
    assert_eq!(full.captions.len(), CAPTIONS_MAX);
    assert!(full.after(&Move::StoreCaptions(captions("en", false)), NOW).is_err());
    assert!(full.after(&Move::StoreCaptions(captions("de", false)), NOW).is_ok(), "one that is there is replaced");
}

/// An asset that is ready, with these renditions complete and a picture of this size.
fn ready(names: &[&str], width: u32, height: u32) -> Asset {
    let mut asset = asset(SourceState::Ready, PlayableState::HlsReady, true);
    let row = |name: &&str| RenditionRow {
        rendition: name.parse().unwrap(),
        state: RenditionState::Ready,
        bandwidth: Some(1),
    };
    asset.renditions = names.iter().map(row).collect();
    asset.media = Some(MediaFacts { width, height, ..media() });
    asset.downloads.clear();
    asset
}

#[track_caller]
fn check_usual(names: &[&str], size: (u32, u32), expect: &str) {
    let asset = ready(names, size.0, size.1);
    assert_eq!(asset.usual_download().map(|rendition| rendition.to_string()).as_deref(), Some(expect), "{names:?}");
}

#[test]
fn the_best_that_most_screens_show_is_downloaded_unless_somebody_says_which() {
    check_usual(&["360p", "480p", "720p"], (1280, 720), "720p");
    check_usual(&["360p", "720p", "1080p", "1440p", "2160p"], (3840, 2160), "1080p");
    check_usual(&["360p", "src", "a-eng", "a-deu"], (854, 480), "src");
    check_usual(&["360p", "1080p", "src"], (2160, 1350), "1080p");
    check_usual(&["1440p"], (2560, 1440), "1440p");
    check_usual(&["a-und"], (0, 0), "a-und");
}

#[test]
fn what_a_note_costs_until_playback_is_measured_once() {
    let mut waiting = media();
    waiting.notes = vec![Note::until_playable("its groups are open"), "it is turned".into()];
    let planned = || Move::Planned { media: waiting.clone(), renditions: vec![Rendition::P360] };
    let step = |asset: Asset, step: Move| asset.after(&step, NOW).unwrap().0;
    let costs = |asset: &Asset| asset.media.as_ref().unwrap().notes.iter().map(|note| note.cost).collect::<Vec<_>>();
    let begun = step(asset(SourceState::Processing, PlayableState::NotPlayable, true), planned());
    assert_eq!(costs(&begun), [Cost::UntilPlayable, Cost::Unmeasured]);
    let plays = step(begun, Move::OpenerReady { took_ms: 812 });
    assert_eq!(costs(&plays), [Cost::Millis(812), Cost::Unmeasured]);
    // An attempt that goes on after a crash plans once more, and is soon where the first one was.
    let again = step(step(plays, planned()), Move::OpenerReady { took_ms: 9 });
    assert_eq!(costs(&again), [Cost::Millis(812), Cost::Unmeasured]);
}

#[test]
fn only_what_is_complete_is_downloaded_and_a_sound_beside_pictures_is_not() {
    let mut asset = ready(&["360p", "720p", "a-eng", "a-deu"], 1280, 720);
    assert_eq!(asset.downloadable(), [Rendition::P360, Rendition::P720]);
    assert_eq!(asset.sound_beside().map(|sound| sound.to_string()).as_deref(), Some("a-eng"));
    asset.renditions[1].state = RenditionState::Failed(failure());
    assert_eq!(asset.downloadable(), [Rendition::P360]);
    let refused = asset.after(&Move::RequestDownload("a-eng".parse().unwrap()), NOW);
    assert!(refused.is_err());
    asset.source = SourceState::Processing;
    assert_eq!((asset.downloadable(), asset.usual_download()), (Vec::new(), None));
}

#[test]
fn a_download_is_asked_for_once_and_again_only_after_it_failed() {
    let asset = ready(&["360p", "720p"], 1280, 720);
    let step = |asset: &Asset, step: Move| asset.after(&step, NOW).map(|(next, _)| next);
    let one = step(&asset, Move::RequestDownload(Rendition::P720)).unwrap();
    assert!(step(&one, Move::RequestDownload(Rendition::P720)).is_err(), "it is waited for");
    let both = step(&one, Move::RequestDownload(Rendition::P360)).unwrap();
    assert_eq!(both.downloads.iter().map(|row| row.rendition).collect::<Vec<_>>(), [Rendition::P360, Rendition::P720]);
    let failed = step(&both, Move::DownloadFailed { rendition: Rendition::P720, failure: failure() }).unwrap();
    assert_eq!(failed.download(Rendition::P720).unwrap().state.as_str(), "failed");
    let again = step(&failed, Move::RequestDownload(Rendition::P720)).unwrap();
    assert_eq!(again.download(Rendition::P720).unwrap().state, DownloadState::Pending);
    let made = step(&again, Move::DownloadReady { rendition: Rendition::P720, bytes: 7 }).unwrap();
    assert_eq!(made.download(Rendition::P720).unwrap().state, DownloadState::Ready { bytes: 7 });
    assert!(step(&made, Move::RequestDownload(Rendition::P720)).is_err());
    let gone = step(&made, Move::RemoveDownload(Rendition::P720)).unwrap();
    assert!(gone.download(Rendition::P720).is_none());
    assert!(step(&gone, Move::DownloadReady { rendition: Rendition::P720, bytes: 7 }).is_err(), "nobody wants it");
}
