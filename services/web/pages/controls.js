// The controls of the player: what the viewer sees over the picture, and what their hands can do.
// They know a video element and a few verbs; they know nothing of servers.

import { h, icon, say } from './dom.js';
import { clock, spoken } from './format.js';

const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2];
const STEP_SECS = 5;
const LEAP_SECS = 10;
const IDLE_MS = 2_500;

export class Controls {
  #video;
  #verbs;
  #idle = 0;
  #dragging = false;
  #plannedSecs = null;
  #madeSecs = null;
  #lastCaption = 0;

  /** `verbs`: toggle(), seek(seconds), choose(index), caption(index), sound(index), preview(seconds), again(), fullscreen(). */
  constructor(video, verbs) {
    this.#video = video;
    this.#verbs = verbs;
    this.#build();
    this.#listen();
  }

  /** Shows the state of the player; the stylesheet does the rest. */
  state(state, message) {
    this.frame.dataset.state = state;
    const playing = state === 'playing' || state === 'buffering';
    swap(this.playButton, state === 'ended' ? 'replay' : playing ? 'pause' : 'play', state === 'ended' ? 'Play again' : playing ? 'Pause' : 'Play');
    swap(this.bigButton, state === 'ended' ? 'replay' : 'play', state === 'ended' ? 'Play again' : 'Play', 34);
    const hasControls = ['ready', 'playing', 'paused', 'buffering', 'ended'].includes(state);
    this.bar.inert = !hasControls;
    this.bigButton.hidden = !['ready', 'paused', 'ended'].includes(state);
    this.message.hidden = !message?.title;
    if (message?.title) {
      const drawing = { gone: 'gone', denied: 'lock', failed: 'alert', unsupported: 'alert', offline: 'offline' }[state];
      this.messageIcon.replaceChildren(...(drawing ? [icon(drawing, 30)] : []));
      say(this.messageTitle, message.title);
      say(this.messageText, message.text ?? '');
      this.againButton.hidden = message.action !== 'again';
    }
    this.wakeUp();
  }

  /** The length that was announced, and how much of it exists so far (null: all of it). */
  length(plannedSecs, madeSecs) {
    this.#plannedSecs = plannedSecs;
    this.#madeSecs = madeSecs;
    this.growing.hidden = madeSecs === null;
    this.#paint();
  }

  quality({ choices, chosen, playing }) {
    const select = this.qualitySelect;
    this.qualityBox.hidden = choices.length < 2;
    const auto = playing && chosen === -1 ? `Auto · ${playing}` : 'Auto';
    const wanted = [{ index: -1, name: auto }, ...choices];
    offer(select, wanted, chosen);
  }

  /** The captions to choose from. Without any there is nothing to see. */
  captions({ choices, chosen }) {
    this.captionBox.hidden = choices.length === 0;
    offer(this.captionSelect, [{ index: -1, name: 'No captions' }, ...choices], chosen);
    if (chosen >= 0) this.#lastCaption = chosen;
  }

  /** The sounds to choose from, when there are several. */
  sounds({ choices, chosen }) {
    this.soundBox.hidden = choices.length < 2;
    offer(this.soundSelect, choices, chosen);
  }

  /** Shows a still before the first frame. A renewed grant names the same still anew, and it is not fetched again for that. */
  poster(url) {
    if (url && this.posterImage.hidden) this.posterImage.src = url;
  }

  /** Keeps the present frame on screen while the source below it is replaced. */
  hold() {
    const { videoWidth: width, videoHeight: height } = this.#video;
    if (width === 0) return;
    this.still.width = width;
    this.still.height = height;
    try {
      this.still.getContext('2d').drawImage(this.#video, 0, 0, width, height);
      this.still.hidden = false;
    } catch {
      // A source that may not be read back is replaced without a still.
    }
  }

  release() {
    this.still.hidden = true;
  }

  /** Answers a key and says whether it meant anything. */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || this.bar.inert) return false;
    const at = event.composedPath()[0];
    const { tagName } = at;
    if (tagName === 'SELECT' || tagName === 'TEXTAREA') return false;
    if (tagName === 'INPUT' && at !== this.seekRange) return false;
    const onButton = tagName === 'BUTTON' || tagName === 'A' || tagName === 'SUMMARY';
    const video = this.#video;
    const verb = {
      ' ': onButton ? null : () => this.#verbs.toggle(),
      k: () => this.#verbs.toggle(),
      ArrowLeft: () => this.#verbs.seek(video.currentTime - STEP_SECS),
      ArrowRight: () => this.#verbs.seek(video.currentTime + STEP_SECS),
      j: () => this.#verbs.seek(video.currentTime - LEAP_SECS),
      l: () => this.#verbs.seek(video.currentTime + LEAP_SECS),
      Home: () => this.#verbs.seek(0),
      End: () => this.#verbs.seek(Number.MAX_SAFE_INTEGER),
      ArrowUp: () => this.#volume(video.volume + 0.1),
      ArrowDown: () => this.#volume(video.volume - 0.1),
      m: () => (video.muted = !video.muted),
      f: () => this.#verbs.fullscreen(),
      c: this.captionBox.hidden ? null : () => this.#verbs.caption(this.captionSelect.value === '-1' ? this.#lastCaption : -1),
      '>': () => this.#speed(+1),
      '<': () => this.#speed(-1),
    }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    const digit = /^[0-9]$/.test(event.key) ? Number(event.key) : null;
    if (digit !== null) this.#verbs.seek((this.duration() * digit) / 10);
    else if (verb) verb();
    else return false;
    event.preventDefault();
    this.wakeUp();
    return true;
  }

  /** The length of the whole video, as far as anybody knows it. */
  duration() {
    const played = this.#video.duration;
    if (this.#plannedSecs && this.#madeSecs !== null) return this.#plannedSecs;
    return Number.isFinite(played) && played > 0 ? played : (this.#plannedSecs ?? 0);
  }

  wakeUp() {
    this.frame.dataset.idle = 'false';
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => {
      if (this.frame.dataset.state === 'playing' && !this.bar.matches(':focus-within:has(:focus-visible)')) this.frame.dataset.idle = 'true';
    }, IDLE_MS);
  }

  #build() {
    this.playButton = h('button', { type: 'button', class: 'key play' });
    this.muteButton = h('button', { type: 'button', class: 'key mute' });
    this.volumeRange = h('input', { type: 'range', class: 'volume', min: 0, max: 1, step: 0.05, 'aria-label': 'Volume' });
    this.seekRange = h('input', { type: 'range', class: 'seek', min: 0, max: 1, step: 'any', value: '0', 'aria-label': 'Seek' });
    this.timeText = h('span', { class: 'time' });
    this.growing = h('span', { class: 'growing', text: 'Still encoding', hidden: true });
    this.qualitySelect = h('select', { 'aria-label': 'Quality' });
    this.qualityBox = h('label', { class: 'pick', hidden: true }, this.qualitySelect);
    this.captionSelect = h('select', { 'aria-label': 'Captions' });
    this.captionBox = h('label', { class: 'pick captions', hidden: true }, this.captionSelect);
    this.soundSelect = h('select', { 'aria-label': 'Audio language' });
    this.soundBox = h('label', { class: 'pick sounds', hidden: true }, this.soundSelect);
    this.speedSelect = h(
      'select',
      { 'aria-label': 'Speed' },
      SPEEDS.map((speed) => h('option', { value: speed, text: `${speed}×` })),
    );
    this.speedSelect.value = '1';
    this.pictureButton = h('button', { type: 'button', class: 'key pip', hidden: !document.pictureInPictureEnabled });
    this.fullButton = h('button', { type: 'button', class: 'key full', hidden: !document.fullscreenEnabled });
    swap(this.pictureButton, 'picture', 'Picture in picture');
    swap(this.fullButton, 'expand', 'Full screen');
    this.previewImage = h('img', { alt: '', decoding: 'async' });
    this.previewText = h('span', { class: 'instant' });
    this.previewFrame = h('div', { class: 'tile', hidden: true }, this.previewImage);
    this.preview = h('div', { class: 'preview', 'aria-hidden': 'true', hidden: true }, this.previewFrame, this.previewText);
    this.bar = h(
      'div',
      { class: 'bar', role: 'group', 'aria-label': 'Player controls' },
      h('div', { class: 'line' }, this.preview, this.seekRange),
      h(
        'div',
        { class: 'row' },
        this.playButton,
        h('span', { class: 'sound' }, this.muteButton, this.volumeRange),
        this.timeText,
        this.growing,
        h('span', { class: 'space' }),
        this.soundBox,
        this.captionBox,
        this.qualityBox,
        h('label', { class: 'pick' }, this.speedSelect),
        this.pictureButton,
        this.fullButton,
      ),
    );
    this.bigButton = h('button', { type: 'button', class: 'big', hidden: true });
    this.posterImage = h('img', { class: 'poster', alt: '', decoding: 'async', hidden: true });
    this.still = h('canvas', { class: 'still', hidden: true, 'aria-hidden': 'true' });
    this.messageIcon = h('span', { class: 'drawing' });
    this.messageTitle = h('p', { class: 'title' });
    this.messageText = h('p', { class: 'text' });
    this.againButton = h('button', { type: 'button', class: 'again', text: 'Try again', hidden: true });
    this.message = h('div', { class: 'message', role: 'status', hidden: true }, this.messageIcon, this.messageTitle, this.messageText, this.againButton);
    this.frame = h(
      'div',
      { class: 'frame', dataset: { state: 'loading', idle: 'false' } },
      this.#video,
      this.still,
      this.posterImage,
      h('div', { class: 'wheel', 'aria-hidden': 'true' }),
      this.bigButton,
      this.message,
      this.bar,
    );
  }

  #listen() {
    const video = this.#video;
    const on = (target, names, act) => names.split(' ').forEach((name) => target.addEventListener(name, act));
    on(this.playButton, 'click', () => this.#verbs.toggle());
    on(this.bigButton, 'click', () => this.#verbs.toggle());
    on(this.againButton, 'click', () => this.#verbs.again());
    on(this.fullButton, 'click', () => this.#verbs.fullscreen());
    on(this.muteButton, 'click', () => (video.muted = !video.muted));
    on(this.volumeRange, 'input', () => this.#volume(Number(this.volumeRange.value)));
    on(this.qualitySelect, 'change', () => this.#verbs.choose(Number(this.qualitySelect.value)));
    on(this.captionSelect, 'change', () => this.#verbs.caption(Number(this.captionSelect.value)));
    on(this.soundSelect, 'change', () => this.#verbs.sound(Number(this.soundSelect.value)));
    on(this.seekRange, 'pointermove', (event) => this.#showPreview(event));
    on(this.seekRange, 'pointerleave pointercancel', () => (this.preview.hidden = true));
    on(this.speedSelect, 'change', () => this.#rate(Number(this.speedSelect.value)));
    on(this.pictureButton, 'click', () => {
      const asked = document.pictureInPictureElement ? document.exitPictureInPicture() : video.requestPictureInPicture();
      asked.catch(() => {});
    });
    on(this.seekRange, 'pointerdown', () => (this.#dragging = true));
    on(this.seekRange, 'pointerup pointercancel change', () => (this.#dragging = false));
    on(this.seekRange, 'input', () => this.#verbs.seek(Number(this.seekRange.value)));
    on(this.posterImage, 'load', () => (this.posterImage.hidden = false));
    on(this.posterImage, 'error', () => (this.posterImage.hidden = true));
    on(video, 'timeupdate durationchange progress seeked seeking loadedmetadata', () => this.#paint());
    on(video, 'volumechange', () => this.#paintSound());
    on(video, 'click', (event) => {
      // On a touch screen the first tap shows the controls; only a mouse click on the picture means play or pause.
      if (event.pointerType === 'touch') this.wakeUp();
      else this.#verbs.toggle();
    });
    on(video, 'dblclick', () => this.#verbs.fullscreen());
    on(this.frame, 'pointermove pointerdown focusin', () => this.wakeUp());
    on(this.frame, 'pointerleave', () => {
      if (this.frame.dataset.state === 'playing') this.frame.dataset.idle = 'true';
    });
    on(this.frame, 'keydown', (event) => this.key(event));
    on(document, 'fullscreenchange', () => {
      const full = Boolean(document.fullscreenElement) && this.frame.getRootNode().host === document.fullscreenElement;
      swap(this.fullButton, full ? 'shrink' : 'expand', full ? 'Leave full screen' : 'Full screen');
    });
    this.#paintSound();
    this.#paint();
  }

  #paint() {
    const video = this.#video;
    const total = this.duration();
    const now = Math.min(video.currentTime, total || video.currentTime);
    const range = this.seekRange;
    range.max = String(total || 1);
    if (!this.#dragging) range.value = String(now);
    range.setAttribute('aria-valuetext', `${spoken(now)} of ${spoken(total)}`);
    const share = (seconds) => `${total > 0 ? Math.min(100, (seconds / total) * 100) : 0}%`;
    range.style.setProperty('--played', share(now));
    range.style.setProperty('--buffered', share(bufferedAt(video)));
    range.style.setProperty('--made', this.#madeSecs === null ? '100%' : share(this.#madeSecs));
    say(this.timeText, `${clock(now)} / ${clock(total)}`);
  }

  /** The still and the instant below the pointer. */
  #showPreview(event) {
    const { left, width } = this.seekRange.getBoundingClientRect();
    const total = this.duration();
    if (width === 0 || total === 0) return;
    const at = Math.max(0, Math.min(1, (event.clientX - left) / width)) * total;
    const tile = this.#verbs.preview?.(at) ?? null;
    this.previewFrame.hidden = tile === null;
    if (tile) {
      if (this.previewImage.src !== tile.url) this.previewImage.src = tile.url;
      this.previewFrame.style.width = `${tile.width}px`;
      this.previewFrame.style.height = `${tile.height}px`;
      this.previewImage.style.transform = `translate(${-tile.x}px, ${-tile.y}px)`;
    }
    say(this.previewText, clock(at));
    this.preview.hidden = false;
    const half = (this.preview.offsetWidth || 0) / 2;
    const place = Math.max(half, Math.min(width - half, (at / total) * width));
    this.preview.style.left = `${place}px`;
  }

  #paintSound() {
    const video = this.#video;
    const silent = video.muted || video.volume === 0;
    swap(this.muteButton, silent ? 'muted' : 'volume', silent ? 'Unmute' : 'Mute');
    this.volumeRange.value = String(silent ? 0 : video.volume);
    this.volumeRange.style.setProperty('--played', `${(silent ? 0 : video.volume) * 100}%`);
  }

  #volume(value) {
    this.#video.volume = Math.min(1, Math.max(0, value));
    this.#video.muted = this.#video.volume === 0;
  }

  #speed(direction) {
    const index = SPEEDS.indexOf(Number(this.speedSelect.value)) + direction;
    if (SPEEDS[index]) this.#rate(SPEEDS[index]);
  }

  #rate(rate) {
    this.speedSelect.value = String(rate);
    // The default too, because a reload of the source falls back to it.
    this.#video.defaultPlaybackRate = rate;
    this.#video.playbackRate = rate;
  }
}

/** Fills a select with choices, leaving it alone where it has them already, so that an open one does not close. */
function offer(select, wanted, chosen) {
  const same = select.options.length === wanted.length && wanted.every((c, i) => select.options[i].value === String(c.index));
  if (!same) select.replaceChildren(...wanted.map((c) => h('option', { value: c.index, text: c.name })));
  else wanted.forEach((c, i) => say(select.options[i], c.name));
  select.value = String(chosen);
}

function swap(button, drawing, label, size = 22) {
  if (button.dataset.drawing === drawing && button.getAttribute('aria-label') === label) return;
  button.dataset.drawing = drawing;
  button.setAttribute('aria-label', label);
  button.title = label;
  button.replaceChildren(icon(drawing, size));
}

function bufferedAt(video) {
  const { buffered, currentTime } = video;
  for (let i = 0; i < buffered.length; i += 1) {
    if (buffered.start(i) <= currentTime + 0.5 && currentTime <= buffered.end(i)) return buffered.end(i);
  }
  return currentTime;
}
