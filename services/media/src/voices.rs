//! Sounds that have renditions of their own, since viewers choose among them.
//!
//! A sound is cut where the pictures are: as soon as any rung has a segment, every sound has the same one, and has it first.
//! So sounds need no units of their own, and whatever an earlier attempt left of the pictures has its sounds beside it.

use bytes::Bytes;
use rend_core::media::isobmff::NewRun;
use rend_core::media::plan::{Cut, SOUND_FRAME, SOUND_RATE, SOUND_SILENT};
use rend_core::media::sounds::Sound as Chosen;
use tokio::sync::Mutex;

use crate::encode::{Encode, Nudge, VIDEO, new_sound, sound_sample};
use crate::sound::Sound;
use crate::trouble::Trouble;

/// A sound with a rendition of its own, while it is made.
#[derive(Debug)]
pub(crate) struct Voice {
    chosen: Chosen,
    sound: Sound,
    /// Held while a segment of it is made: rungs that reach the same cut at once make it once.
    making: Mutex<()>,
}

impl Voice {
    pub(crate) fn new(chosen: Chosen, sound: Sound) -> Self {
        Self { chosen, sound, making: Mutex::new(()) }
    }

    pub(crate) const fn sound(&self) -> &Sound {
        &self.sound
    }
}

impl Encode<'_> {
    /// Makes segment `index` of a sound durable, unless it is. A sound that can not be decoded at all is given up, unless it
    /// is the one that is heard by default.
    pub(crate) async fn speak(&self, voice: &Voice, index: u32, cut: &Cut, nudge: &Nudge) -> Result<(), Trouble> {
        let rendition = voice.chosen.rendition;
        let _making = voice.making.lock().await;
        {
            let catalogue = self.catalogue.lock().await;
            let is_wanted = catalogue.plan().sounds.iter().any(|sound| sound.rendition == rendition);
            if !is_wanted || catalogue.has(rendition, index) {
                return Ok(());
            }
        }
        if !self.inits.lock().await.contains_key(&rendition) {
            let track = match voice.sound.track().await {
                Ok(track) => track,
                Err(Trouble::Error(error)) if !voice.chosen.default => return self.give_up(rendition, &error).await,
                Err(trouble) => return Err(trouble),
            };
            let init = self.put_init(rendition, &[new_sound(VIDEO, voice.chosen.lang, track.stsd)]).await?;
            self.inits.lock().await.insert(rendition, init);
        }
        let heard = self.heard_in(cut);
        let mut samples: Vec<_> =
            voice.sound.frames(heard.start, heard.end).await?.into_iter().map(sound_sample).collect();
        // A sound that breaks off is silent from there on: players want as much of it as of the pictures.
        let whole = usize::try_from(heard.end - heard.start).unwrap_or(0);
        samples.resize(whole.max(samples.len()), sound_sample(Bytes::from_static(&SOUND_SILENT)));
        if samples.is_empty() {
            return Ok(());
        }
        let runs = [NewRun { track: VIDEO, starts_at: heard.start * u64::from(SOUND_FRAME), samples: &samples }];
        let micros = SOUND_RATE.micros_at(heard.end) - SOUND_RATE.micros_at(heard.start);
        self.put_segment(rendition, index, micros, &runs, nudge).await
    }
}
