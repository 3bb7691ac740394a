// <rend-player asset-id="…">: plays one asset of Rend.
//
//   <script type="module" src="https://rend.example/assets/rend-player.js"></script>
//   <rend-player asset-id="0190…" token="…"></rend-player>
//
// Attributes: asset-id; token (a bootstrap token, for signed assets); api (where Rend answers; default: where this file came from);
// autoplay, muted, loop, start (seconds); buffer (seconds to fetch ahead, to spare data); transport="path" (ask for URLs instead of a cookie); engine="auto|hls|native".
// Properties: video, state, bootstrap. Events: rend-state {state}, rend-bootstrap {bootstrap}, rend-error {kind, status, detail}.
// The attribute data-state tells what one sees: loading, preparing, ready, playing, paused, buffering, ended, offline, failed, gone,
// denied or unsupported.

import { BEAT_MS, Beacons } from './beacons.js';
import { keep, preferred, recalled } from './choices.js';
import { Controls } from './controls.js';
import { h } from './dom.js';
import { engineFor, loadHls } from './engine.js';
import { Previews } from './previews.js';
import { PlayerSession } from './session.js';

const FETCH_TIMEOUT_MS = 15_000;
/** Playback that advanced this far after an interruption counts as recovered. */
const PROGRESS_SECS = 1;
const HOME = new URL('./', import.meta.url);

export class RendPlayer extends HTMLElement {
  static observedAttributes = ['asset-id', 'token'];

  #session = null;
  #controls;
  #engine = null;
  #timer = 0;
  #wants = false;
  #started = false;
  #at = 0;
  #steadyFrom = 0;
  #message = null;
  #shown = '';
  #replacing = 0;
  #life = null;
  #previews = new Previews();
  #captionsSet = false;
  #soundSet = false;
  #beacons = new Beacons();
  #beatTimer = 0;
  #listener = null;

  constructor() {
    super();
    /** The video element. Reading from it is fine; its source belongs to the player. */
    this.video = h('video', { playsinline: true, preload: 'auto', part: 'video', tabindex: '-1' });
    this.#controls = new Controls(this.video, {
      toggle: () => this.toggle(),
      seek: (seconds) => this.seek(seconds),
      choose: (index) => this.#engine?.choose(index),
      caption: (index) => this.#chooseCaptions(index),
      sound: (index) => this.#chooseSound(index),
      preview: (at) => this.#previews.tile(at),
      again: () => this.reopen(),
      fullscreen: () => this.#fullscreen(),
    });
    const sheet = h('link', { rel: 'stylesheet', href: new URL('rend-player.css', HOME).href });
    const { frame } = this.#controls;
    // Without its stylesheet the frame would flash as a heap of buttons.
    frame.hidden = true;
    const reveal = () => (frame.hidden = false);
    sheet.addEventListener('load', reveal);
    sheet.addEventListener('error', reveal);
    this.attachShadow({ mode: 'open' }).append(sheet, frame);
  }

  connectedCallback() {
    this.#life = new AbortController();
    const { signal } = this.#life;
    this.video.muted = this.hasAttribute('muted');
    this.video.loop = this.hasAttribute('loop');
    const names = 'play playing pause waiting seeking seeked ended timeupdate canplay emptied';
    for (const name of names.split(' ')) this.video.addEventListener(name, () => this.#videoMoved(name), { signal });
    const awake = () => document.visibilityState === 'visible' && this.#input({ type: 'awake' });
    document.addEventListener('visibilitychange', awake, { signal });
    window.addEventListener('online', awake, { signal });
    // A page that is hidden may never be heard again, so what it has to tell goes now.
    const hidden = () => document.visibilityState === 'hidden' && this.#report(true);
    document.addEventListener('visibilitychange', hidden, { signal });
    window.addEventListener('pagehide', () => this.#endView(), { signal });
    this.#beatTimer = setInterval(() => {
      this.#beacons.beat(performance.now());
      this.#report(false);
    }, BEAT_MS);
    // It is needed in most cases, and asking now saves a round trip before the first frame.
    if (this.getAttribute('engine') !== 'native') loadHls();
    this.reopen();
  }

  disconnectedCallback() {
    this.#life?.abort();
    clearTimeout(this.#timer);
    clearInterval(this.#beatTimer);
    this.#endView();
    this.#session = null;
    this.#stop();
  }

  attributeChangedCallback(name, before, after) {
    if (this.isConnected && this.#session && before !== after) this.reopen();
  }

  get assetId() {
    return this.getAttribute('asset-id') ?? '';
  }

  /** What one sees now. */
  get state() {
    return this.#shown;
  }

  /** The last answer of `GET /api/player/{id}` that plays now, or null. */
  get bootstrap() {
    return this.#session?.boot ?? null;
  }

  /** The name of the engine that plays: `hls.js`, `native` or null. */
  get engine() {
    return this.#engine?.name ?? null;
  }

  /** Begins from the start: asks the server again and forgets what went wrong. */
  reopen() {
    this.#stop();
    this.#endView();
    this.#beacons = new Beacons();
    this.#wants = this.hasAttribute('autoplay');
    this.#started = false;
    this.#at = Math.max(0, Number(this.getAttribute('start')) || 0);
    this.#session = new PlayerSession();
    this.#input({ type: 'open' });
  }

  /** Asks whether more of a video that is still encoded can be played by now; a page that hears so may say it. */
  look() {
    this.#input({ type: 'look' });
  }

  play() {
    this.#wants = true;
    this.#beacons.intent(performance.now());
    const { video } = this;
    if (video.ended) video.currentTime = 0;
    const asked = video.play();
    asked?.catch((problem) => {
      // Browsers refuse sound before a gesture; the big button is the answer to that. An abort is a source being replaced.
      if (problem.name === 'NotAllowedError') {
        this.#wants = false;
        this.#paint();
      }
    });
  }

  pause() {
    this.#wants = false;
    this.video.pause();
  }

  toggle() {
    if (this.video.paused || this.video.ended) this.play();
    else this.pause();
  }

  /** Goes to a place, as near to it as the part that exists allows. */
  seek(seconds) {
    const { video } = this;
    if (video.readyState === 0) return;
    const { seekable } = video;
    const end = seekable.length > 0 ? seekable.end(seekable.length - 1) : video.duration;
    video.currentTime = Math.max(0, Math.min(seconds, Number.isFinite(end) ? end - 0.05 : seconds));
  }

  /** Lets a page offer the player's keys outside of it. */
  key(event) {
    return this.#controls.key(event);
  }

  #input(input) {
    if (!this.#session) return;
    this.#session.handle(input, performance.now());
    this.#perform();
  }

  #perform() {
    const session = this.#session;
    for (let effect = session.poll(); effect; effect = session.poll()) {
      if (effect.do === 'fetch') this.#fetch(session, effect.waitSecs ?? 0);
      else if (effect.do === 'load') this.#begin(effect.source, this.#at);
      else if (effect.do === 'reload') this.#begin(effect.source, this.#at);
      else if (effect.do === 'rebase') this.#engine?.rebase(effect.source);
      else if (effect.do === 'upgrade') this.#upgrade(effect.source);
      else if (effect.do === 'mend') this.#mend();
      else if (effect.do === 'stop') this.#stop();
      else if (effect.do === 'show') this.#message = effect;
    }
    clearTimeout(this.#timer);
    const deadline = session.deadline();
    if (deadline !== null) {
      this.#timer = setTimeout(
        () => {
          session.wake(performance.now());
          if (session === this.#session) this.#perform();
        },
        Math.max(0, deadline - performance.now()) + 1,
      );
    }
    this.#paint();
  }

  async #fetch(session, waitSecs) {
    const api = this.getAttribute('api') ?? (import.meta.url.startsWith('http') ? HOME.origin : location.origin);
    const url = new URL(`/api/player/${encodeURIComponent(this.assetId)}`, api);
    const token = this.getAttribute('token');
    const transport = this.getAttribute('transport');
    if (token) url.searchParams.set('token', token);
    if (transport) url.searchParams.set('transport', transport);
    if (waitSecs > 0) url.searchParams.set('wait', waitSecs);
    const asked = performance.now();
    let input;
    try {
      const answer = await fetch(url, { credentials: 'include', cache: 'no-store', signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
      input = await readBootstrap(answer);
    } catch {
      input = { type: 'unreachable' };
    }
    input.tookMs = performance.now() - asked;
    if (session !== this.#session) return;
    if (input.type === 'bootstrap') {
      this.#listener = input.boot.telemetry?.url ? new URL(input.boot.telemetry.url, api).href : null;
      this.#beacons.open(input.boot.telemetry?.ticket, performance.now());
      if (this.#wants) this.#beacons.intent(performance.now());
      this.#controls.poster(input.boot.poster_url);
      this.#previews.aim(input.boot.storyboard_url, input.boot.transport === 'cookie');
      this.#length(input.boot.playable_state === 'opener_ready' ? this.#made() : null, input.boot);
    }
    this.#input(input);
    if (input.type === 'bootstrap') this.#tell('rend-bootstrap', { bootstrap: input.boot });
  }

  async #begin(source, at) {
    const turn = (this.#replacing += 1);
    if (this.#engine) this.#controls.hold();
    const listener = {
      bufferSecs: Number(this.getAttribute('buffer')) || null,
      onFailure: (kind, status, detail) => {
        this.#steadyFrom = this.video.currentTime;
        this.#tell('rend-error', { kind, status, detail });
        this.#input({ type: 'media-failed', kind, status });
      },
      onQuality: (quality) => {
        this.#controls.quality(quality);
        this.#beacons.source(quality.rung ?? null, this.#session?.source?.edge ?? null, performance.now());
      },
      onCaptions: () => this.#captionsChanged(),
      onSounds: () => this.#soundsChanged(),
      onGrowth: (growing, edge) => {
        this.#length(growing ? edge : null, this.bootstrap);
        // One rendition is complete, so the others may be as well.
        if (!growing) this.look();
      },
    };
    const boot = this.bootstrap;
    const tracks = (boot?.captions?.length ?? 0) > 0 || (boot?.sounds?.length ?? 0) > 1;
    const engine = await engineFor(source, this.video, this.getAttribute('engine') ?? 'auto', listener, tracks);
    // A later source, or the end of the session, has overtaken this one.
    if (turn !== this.#replacing || !this.#session) return;
    if (!engine) {
      this.#input({ type: 'unsupported', text: unsupportedText(await loadHls()) });
      return;
    }
    const goesOn = this.#wants || (this.#engine !== null && !this.video.paused);
    this.#engine?.stop();
    this.#engine = engine;
    this.#captionsSet = false;
    this.#soundSet = false;
    engine.start(source, at);
    if (goesOn) this.play();
    this.#paint();
  }

  async #upgrade(source) {
    const before = this.#engine?.quality().choices.length ?? 0;
    if (before === 0 && this.#engine?.name === 'hls.js') return;
    try {
      const answer = await fetch(source.url, { credentials: source.transport === 'cookie' ? 'include' : 'omit' });
      const offered = (await answer.text()).match(/^#EXT-X-STREAM-INF:/gm)?.length ?? 0;
      if (answer.ok && offered > before && this.#session?.source === source) this.#begin(source, this.#at);
    } catch {
      // What plays goes on playing; the next look may succeed.
    }
  }

  #mend() {
    const goesOn = this.#wants;
    this.#engine?.mend();
    if (goesOn) this.play();
  }

  #stop() {
    this.#replacing += 1;
    this.#engine?.stop();
    this.#engine = null;
    this.video.pause();
    this.#controls.release();
  }

  #videoMoved(name) {
    const { video } = this;
    if (name === 'play') this.#wants = true;
    if (name === 'playing') {
      this.#started = true;
      this.#controls.release();
    }
    if (name === 'seeking') this.#beacons.seek(performance.now());
    if (name === 'seeked' && video.paused) this.#controls.release();
    if (name === 'ended') {
      this.#wants = false;
      this.#endView();
    }
    if (video.readyState >= 1 && video.currentTime > 0) {
      // While a source is being replaced the element stands at zero, which is not where the viewer is.
      this.#at = video.currentTime;
    }
    if (name === 'timeupdate' && video.currentTime > this.#steadyFrom + PROGRESS_SECS) {
      this.#steadyFrom = video.currentTime;
      this.#input({ type: 'progress' });
      return;
    }
    if (name === 'seeked') this.#steadyFrom = video.currentTime;
    this.#paint();
  }

  #paint() {
    if (!this.#session) return;
    const { phase } = this.#session;
    const message = this.#message?.title ? this.#message : null;
    const state = phase === 'playable' ? this.#playing() : (message?.phase ?? phase);
    if (state === this.#shown && message?.title === this.#saidTitle) return;
    this.#saidTitle = message?.title;
    const changed = state !== this.#shown;
    this.#shown = state;
    this.dataset.state = state;
    this.dataset.started = String(this.#started);
    this.#controls.frame.dataset.started = String(this.#started);
    this.#controls.state(state, phase === 'playable' ? null : message);
    if (changed && !seeks(this.video, state)) this.#beacons.state(state, performance.now());
    if (changed) this.#tell('rend-state', { state });
  }

  #saidTitle;

  #playing() {
    const { video } = this;
    if (!this.#engine) return 'loading';
    if (video.ended) return 'ended';
    if (video.paused && !this.#wants) return this.#started ? 'paused' : video.readyState >= 2 ? 'ready' : 'loading';
    return video.readyState < 3 || video.seeking ? 'buffering' : video.paused ? 'buffering' : 'playing';
  }

  #made() {
    const { seekable } = this.video;
    return seekable.length > 0 ? seekable.end(seekable.length - 1) : 0;
  }

  #length(made, boot) {
    this.#controls.length(boot?.duration_ms ? boot.duration_ms / 1000 : null, made);
  }

  /** What was chosen before is chosen again once, as soon as there is something to choose from. */
  #captionsChanged() {
    const engine = this.#engine;
    if (!engine) return;
    const { choices } = engine.captions();
    if (choices.length > 0 && !this.#captionsSet) {
      this.#captionsSet = true;
      const wanted = preferred(choices, recalled('captions'));
      // hls.js makes a choice of its own right after it told of the tracks.
      queueMicrotask(() => {
        if (engine !== this.#engine) return;
        engine.caption(wanted);
        this.#controls.captions(engine.captions());
      });
    }
    this.#controls.captions(engine.captions());
  }

  #chooseCaptions(index) {
    const engine = this.#engine;
    if (!engine) return;
    engine.caption(index);
    keep('captions', engine.captions().choices[index]?.lang ?? '');
    this.#controls.captions({ ...engine.captions(), chosen: index });
  }

  #soundsChanged() {
    const engine = this.#engine;
    if (!engine) return;
    const { choices } = engine.sounds();
    if (choices.length > 1 && !this.#soundSet) {
      this.#soundSet = true;
      const wanted = recalled('sound');
      if (wanted) queueMicrotask(() => engine === this.#engine && engine.sound(preferred(choices, wanted)));
    }
    this.#controls.sounds(engine.sounds());
  }

  #chooseSound(index) {
    const engine = this.#engine;
    if (!engine) return;
    engine.sound(index);
    keep('sound', engine.sounds().choices[index]?.lang ?? '');
    this.#controls.sounds({ ...engine.sounds(), chosen: index });
  }

  #fullscreen() {
    const asked = document.fullscreenElement ? document.exitFullscreen() : this.requestFullscreen?.();
    asked?.catch(() => {});
  }

  #endView() {
    this.#beacons.end(performance.now());
    this.#report(true);
  }

  /** Sends what waits to be told; `last` when the page may be gone before there is an answer. */
  #report(last) {
    const [beacons, to] = [this.#beacons, this.#listener];
    if (!to) return;
    for (let text = beacons.take(); text; text = beacons.take()) {
      if (last) {
        if (navigator.sendBeacon?.(to, text)) continue;
        return;
      }
      const batch = text;
      fetch(to, { method: 'POST', body: batch, keepalive: true, credentials: 'omit' }).catch(() => beacons.giveBack(batch));
    }
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }
}

/** Whether what one sees is a seek, which is no stall. */
function seeks(video, state) {
  return state === 'buffering' && video.seeking;
}

async function readBootstrap(answer) {
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return { type: 'bootstrap', boot: body };
  const wait = Number(answer.headers.get('retry-after'));
  const retryAfterMs = answer.headers.has('retry-after') && Number.isFinite(wait) ? Math.min(60, wait) * 1000 : undefined;
  return { type: 'problem', status: answer.status, code: body.code, detail: body.detail, failure: body.failure, retryAfterMs };
}

function unsupportedText(Hls) {
  return Hls
    ? 'It offers neither Media Source Extensions nor HLS playback. A current version of any large browser does.'
    : 'This Rend was built without hls.js, and this browser does not play HLS by itself. Safari does; a build with hls.js plays everywhere.';
}

customElements.define('rend-player', RendPlayer);
