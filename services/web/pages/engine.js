// What turns media URLs into a picture: hls.js where the build has it, otherwise what the browser can do by itself.
//
// Both engines have the same verbs: start, restart, rebase, mend, stop. They report failures as one of four kinds: `auth` (the grant
// is not accepted), `missing` (no such media), `network` (no usable answer), `media` (an answer that cannot be decoded).

import { rungOf } from './beacons.js';
import { mediaBase, rebased } from './session.js';

/** Base URLs that are remembered for rewriting requests: a grant is renewed many times during a long video. */
const BASES_MAX = 16;
/** Seconds of video that are fetched ahead of the viewer. */
const BUFFER_SECS = 30;
/** More than that is fetched while it is small: up to this many bytes. */
const BUFFER_BYTES = 60_000_000;
const HLS_TYPE = 'application/vnd.apple.mpegurl';

let hlsModule = null;
let hlsWholeModule = null;

/** The Hls class, or null when this build was made without hls.js. Asked for once. */
export function loadHls() {
  hlsModule ??= import('./hls.js').then(
    // Its ES module has a default export; its classic build, loaded the same way, leaves a global behind.
    (module) => module.default ?? globalThis.Hls ?? null,
    () => null,
  );
  return hlsModule;
}

/** The Hls class that also knows captions and several sounds, which most videos do not need; without it, the smaller one. */
export function loadWholeHls() {
  hlsWholeModule ??= import('./hls-whole.js').then(
    (module) => module.default ?? globalThis.Hls ?? null,
    () => loadHls(),
  );
  return hlsWholeModule;
}

/** Whether the browser plays HLS without help. */
export function nativeHls(video) {
  return video.canPlayType(HLS_TYPE) !== '';
}

/**
 * The engine for `source`, or null when nothing here can play it. `prefer` is `auto`, `hls` or `native`; `tracks` says that there are
 * captions or several sounds to choose from.
 */
export async function engineFor(source, video, prefer, listener, tracks = false) {
  if (!/mpegurl/i.test(source.type)) return new NativeEngine(video, listener);
  if (prefer !== 'native') {
    const Hls = await (tracks ? loadWholeHls() : loadHls());
    if (Hls?.isSupported()) return new HlsEngine(Hls, video, listener);
  }
  return prefer !== 'hls' && nativeHls(video) ? new NativeEngine(video, listener) : null;
}

/** The tracks that were made for an element, which outlive the engines that fill them. */
function textsOf(video) {
  if (!madeTexts.has(video)) madeTexts.set(video, new Map());
  return madeTexts.get(video);
}

const madeTexts = new WeakMap();

export class HlsEngine {
  #Hls;
  #hls = null;
  #video;
  #listener;
  #bases = [];
  #base = null;
  #credentials = false;
  #texts;

  constructor(Hls, video, listener) {
    this.#Hls = Hls;
    this.#video = video;
    this.#listener = listener;
    this.#texts = textsOf(video);
  }

  get name() {
    return 'hls.js';
  }

  start(source, at) {
    this.stop();
    this.#aim(source);
    const ahead = this.#listener.bufferSecs ?? BUFFER_SECS;
    const hls = new this.#Hls({
      // A worker would need `worker-src blob:`; remuxing fMP4 is cheap enough to do without.
      enableWorker: false,
      // A playlist that still grows begins at its beginning too, not at the live edge.
      startPosition: at,
      startFragPrefetch: true,
      backBufferLength: 60,
      maxBufferLength: ahead,
      maxMaxBufferLength: ahead * 4,
      maxBufferSize: this.#listener.bufferSecs ? 1 : BUFFER_BYTES,
      capLevelToPlayerSize: true,
      // Its own way to show captions needs `data:` media, which no policy here allows.
      renderTextTracksNatively: false,
      abrEwmaDefaultEstimate: 2_000_000,
      xhrSetup: (xhr, url) => {
        xhr.open('GET', rebased(url, this.#bases, this.#base), true);
        xhr.withCredentials = this.#credentials;
      },
    });
    const { Events } = this.#Hls;
    hls.on(Events.ERROR, (_, data) => this.#failed(data));
    hls.on(Events.MANIFEST_PARSED, () => this.#levelsChanged());
    hls.on(Events.LEVEL_SWITCHED, () => this.#levelsChanged());
    if (Events.CUES_PARSED) hls.on(Events.CUES_PARSED, (_, { cues, track }) => this.#cuesCame(track, cues));
    for (const name of ['SUBTITLE_TRACKS_UPDATED', 'SUBTITLE_TRACK_SWITCH']) hls.on(Events[name], () => this.#listener.onCaptions?.());
    for (const name of ['AUDIO_TRACKS_UPDATED', 'AUDIO_TRACK_SWITCHED']) hls.on(Events[name], () => this.#listener.onSounds?.());
    hls.on(Events.LEVEL_UPDATED, (_, { details }) => this.#listener.onGrowth?.(details.live, details.edge));
    hls.attachMedia(this.#video);
    hls.loadSource(source.url);
    this.#hls = hls;
  }

  restart(source, at) {
    this.start(source, at);
  }

  rebase(source) {
    this.#aim(source);
  }

  mend() {
    this.#hls?.recoverMediaError();
  }

  stop() {
    this.#hls?.destroy();
    this.#hls = null;
    for (const { track, seen } of this.#texts.values()) {
      track.mode = 'hidden';
      for (const cue of [...(track.cues ?? [])]) track.removeCue(cue);
      track.mode = 'disabled';
      seen.clear();
    }
  }

  /** The heights one can choose from, best first, and what is chosen: an index, or -1 for automatic. */
  quality() {
    const hls = this.#hls;
    if (!hls) return { choices: [], chosen: -1, playing: null, rung: null };
    const name = (level) => (level?.height ? `${Math.min(level.width || level.height, level.height)}p` : null);
    return {
      choices: hls.levels.map((level, index) => ({ index, name: name(level) ?? `${Math.round(level.bitrate / 1000)} kb/s` })).reverse(),
      chosen: hls.autoLevelEnabled ? -1 : hls.nextLevel,
      playing: name(hls.levels[hls.currentLevel]),
      rung: rungOf(hls.levels[hls.currentLevel]?.uri),
    };
  }

  choose(index) {
    if (this.#hls) this.#hls.nextLevel = index;
  }

  /** The captions one can choose from, and what is chosen: an index, or -1 for none. */
  captions() {
    const hls = this.#hls;
    const choices = (hls?.subtitleTracks ?? []).map((track, index) => ({ index, name: track.name, lang: track.lang, default: track.default }));
    return { choices, chosen: hls?.subtitleTrack ?? -1 };
  }

  caption(index) {
    if (!this.#hls) return;
    this.#hls.subtitleDisplay = index >= 0;
    this.#hls.subtitleTrack = index;
    const chosen = this.#textOf(index);
    for (const text of this.#texts.values()) text.track.mode = text === chosen ? 'showing' : 'disabled';
  }

  /** The element's track for the captions at `index`. An element never gives a track up, so it is made once for each. */
  #textOf(index) {
    const known = this.#hls?.subtitleTracks?.[index];
    if (!known) return null;
    const key = `${known.lang ?? ''} ${known.name}`;
    if (!this.#texts.has(key)) {
      const track = this.#video.addTextTrack('subtitles', known.name, known.lang ?? '');
      track.mode = 'disabled';
      this.#texts.set(key, { track, seen: new Set() });
    }
    return this.#texts.get(key);
  }

  /** Cues of the captions that hls.js calls `name`. One that lasts over several segments comes with each of them. */
  #cuesCame(name, cues) {
    const tracks = this.#hls?.subtitleTracks ?? [];
    const index = name === 'default' ? tracks.findIndex((track) => track.default) : Number(/^subtitles(\d+)$/.exec(name)?.[1] ?? -1);
    const text = this.#textOf(index);
    for (const cue of text ? cues : []) {
      const id = `${cue.startTime} ${cue.endTime} ${cue.text}`;
      if (text.seen.has(id)) continue;
      text.seen.add(id);
      text.track.addCue(cue);
    }
  }

  /** The sounds one can choose from, and which is heard. */
  sounds() {
    const hls = this.#hls;
    const choices = (hls?.audioTracks ?? []).map((track, index) => ({ index, name: track.name, lang: track.lang, default: track.default }));
    return { choices, chosen: hls?.audioTrack ?? -1 };
  }

  sound(index) {
    if (this.#hls && index >= 0) this.#hls.audioTrack = index;
  }

  #aim(source) {
    const base = mediaBase(source.url);
    if (base && !this.#bases.includes(base)) this.#bases = [...this.#bases.slice(1 - BASES_MAX), base];
    this.#base = base;
    this.#credentials = source.transport === 'cookie';
  }

  #levelsChanged() {
    this.#listener.onQuality?.(this.quality());
  }

  #failed(data) {
    const status = data.response?.code ?? 0;
    // Without captions the video plays on. They may have been taken away since it began.
    if (!data.fatal && (data.frag?.type === 'subtitle' || data.context?.type === 'subtitleTrack' || /^subtitle/i.test(data.details ?? ''))) return;
    const { ErrorTypes } = this.#Hls;
    if (data.type === ErrorTypes.NETWORK_ERROR && (status === 401 || status === 403)) {
      this.#listener.onFailure('auth', status, data.details);
    } else if (data.type === ErrorTypes.NETWORK_ERROR && (status === 404 || status === 410)) {
      this.#listener.onFailure('missing', status, data.details);
    } else if (data.fatal) {
      this.#listener.onFailure(data.type === ErrorTypes.NETWORK_ERROR ? 'network' : 'media', status, data.details);
    }
  }
}

export class NativeEngine {
  #video;
  #listener;
  #off = null;

  constructor(video, listener) {
    this.#video = video;
    this.#listener = listener;
  }

  get name() {
    return 'native';
  }

  start(source, at) {
    this.stop();
    const video = this.#video;
    const abort = new AbortController();
    const { signal } = abort;
    this.#off = abort;
    video.crossOrigin = source.transport === 'cookie' ? 'use-credentials' : 'anonymous';
    video.addEventListener(
      'error',
      () => {
        const code = video.error?.code ?? 0;
        // The element tells no status. Only a decoder's complaint is surely about the data; the rest may be a refusal or the network.
        const kind = code === MediaError.MEDIA_ERR_DECODE ? 'media' : 'network';
        this.#listener.onFailure(kind, 0, video.error?.message ?? '');
      },
      { signal },
    );
    if (at > 0) {
      video.addEventListener('loadedmetadata', () => (video.currentTime = at), { signal, once: true });
    }
    video.textTracks.addEventListener('addtrack', () => this.#listener.onCaptions?.(), { signal });
    video.textTracks.addEventListener('change', () => this.#listener.onCaptions?.(), { signal });
    video.src = source.url;
    video.load();
  }

  restart(source, at) {
    this.start(source, at);
  }

  /** The browser fetches by itself, so a new base can only be used when the source is loaded again. */
  rebase() {}

  mend() {
    const video = this.#video;
    const at = video.currentTime;
    video.addEventListener('loadedmetadata', () => (video.currentTime = at), { once: true });
    video.load();
  }

  stop() {
    this.#off?.abort();
    this.#off = null;
    if (this.#video.hasAttribute('src')) {
      this.#video.removeAttribute('src');
      this.#video.load();
    }
  }

  quality() {
    return { choices: [], chosen: -1, playing: null };
  }

  choose() {}

  captions() {
    const tracks = this.#texts();
    const choices = tracks.map((track, index) => ({ index, name: track.label || track.language || `Captions ${index + 1}`, lang: track.language }));
    return { choices, chosen: tracks.findIndex((track) => track.mode === 'showing') };
  }

  caption(index) {
    this.#texts().forEach((track, place) => (track.mode = place === index ? 'showing' : 'disabled'));
  }

  sounds() {
    const tracks = [...(this.#video.audioTracks ?? [])];
    const choices = tracks.map((track, index) => ({ index, name: track.label || track.language, lang: track.language }));
    return { choices, chosen: tracks.findIndex((track) => track.enabled) };
  }

  sound(index) {
    [...(this.#video.audioTracks ?? [])].forEach((track, place) => (track.enabled = place === index));
  }

  #texts() {
    return [...this.#video.textTracks].filter((track) => track.kind === 'subtitles' || track.kind === 'captions');
  }
}
