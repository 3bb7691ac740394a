// Choosing files, sending them one after the other, and telling how it goes.

import { isPlayable, statusOf, titleFrom } from './asset-view.js';
import { h, icon, say } from './dom.js';
import { bytes, percent, plural, rate, span } from './format.js';
import { byXhr, discard, sendInPieces, unfinished } from './resumable.js';
import { sentence } from './session.js';
import { UploadMeter } from './upload-meter.js';

/** Files that may wait; further ones are refused with a word. */
const WAITING_MAX = 50;
const byId = (id) => document.getElementById(id);

export class Uploads {
  #api;
  #onUploaded;
  #picked = [];
  #waiting = [];
  #running = false;
  #following = new Map();
  #signal;

  constructor(api, { onUploaded, signal }) {
    this.#api = api;
    this.#onUploaded = onUploaded;
    this.#signal = signal;
    byId('uploads').replaceChildren();
    this.#listen(signal);
    this.#remind();
  }

  /** An asset that this page uploaded moved on: its line says since when it plays. */
  follow(asset) {
    const item = this.#following.get(asset.id);
    if (!item) return;
    const status = statusOf(asset);
    if (status.tone === 'bad') {
      item.end('bad', `Uploaded, but it cannot be played. ${status.detail}`);
      this.#following.delete(asset.id);
    } else if (isPlayable(asset)) {
      item.end('good', `Playable ${span(performance.now() - item.sentAt)} after the upload`);
      this.#following.delete(asset.id);
    }
  }

  #listen(signal) {
    const form = byId('drop');
    const input = byId('file');
    const on = (target, name, act) => target.addEventListener(name, act, { signal });
    on(input, 'change', () => {
      this.#pick([...input.files]);
      input.value = '';
    });
    // Files may be dropped anywhere: a drop beside the target would otherwise leave the page for the file.
    let depth = 0;
    const carriesFiles = (event) => event.dataTransfer?.types.includes('Files');
    on(window, 'dragenter', (event) => carriesFiles(event) && ((depth += 1), (form.dataset.over = 'true')));
    on(window, 'dragleave', (event) => carriesFiles(event) && (depth -= 1) <= 0 && (form.dataset.over = 'false'));
    on(window, 'dragover', (event) => carriesFiles(event) && event.preventDefault());
    on(window, 'drop', (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      depth = 0;
      form.dataset.over = 'false';
      this.#pick([...event.dataTransfer.files]);
    });
    on(byId('public'), 'change', () => {
      say(byId('public-why'), byId('public').checked ? 'Anyone with the link can watch' : 'Only with a link that you sign');
    });
    on(byId('unpick'), 'click', () => this.#pick([]));
    on(form, 'submit', (event) => {
      event.preventDefault();
      const policy = byId('public').checked ? 'public' : 'signed';
      const title = byId('title').value.trim();
      for (const file of this.#picked) this.#enqueue(file, this.#picked.length === 1 && title ? title : titleFrom(file.name), policy);
      this.#pick([]);
    });
    on(window, 'beforeunload', (event) => this.#running && event.preventDefault());
  }

  /** A page can not keep a file across a reload. Whoever chooses it again goes on, so it says which. */
  #remind() {
    for (const { title, name, size, sent } of unfinished(storage())) {
      const words = h('p', { class: 'words', text: `${percent(sent, size)} of ${bytes(size)} uploaded. Choose ${name} again to go on.` });
      const close = h('button', { type: 'button', class: 'button bare small', onclick: () => element.remove() }, 'Close');
      const element = h('li', { class: 'upload', dataset: { state: 'idle', unfinished: name } }, h('div', { class: 'upload-head' }, h('p', { class: 'name', text: title }), close), words);
      byId('uploads').append(element);
    }
  }

  #pick(files) {
    this.#picked = files;
    byId('invite').hidden = files.length > 0;
    byId('compose').hidden = files.length === 0;
    if (files.length === 0) return;
    const total = files.reduce((sum, file) => sum + file.size, 0);
    byId('picked').replaceChildren(icon('film', 18), files.length === 1 ? files[0].name : plural(files.length, 'file'), h('span', { text: bytes(total) }));
    byId('title-field').hidden = files.length > 1;
    byId('title').value = titleFrom(files[0].name);
    if (files.length > 1) byId('send').focus();
    else byId('title').select();
  }

  #enqueue(file, title, policy) {
    const item = new UploadItem(file, title, { again: () => this.#enqueue(file, title, policy) });
    for (const old of byId('uploads').querySelectorAll('[data-unfinished]')) if (old.dataset.unfinished === file.name) old.remove();
    byId('uploads').append(item.element);
    if (file.size === 0) return item.end('bad', 'This file is empty, so there is nothing to upload.');
    if (this.#waiting.length >= WAITING_MAX) return item.end('bad', `Not queued: ${WAITING_MAX} files are waiting already. Try again when some are done.`);
    this.#waiting.push({ item, file, title, policy });
    this.#run();
    return undefined;
  }

  async #run() {
    if (this.#running) return;
    this.#running = true;
    for (let next = this.#waiting.shift(); next && !this.#signal.aborted; next = this.#waiting.shift()) await this.#send(next);
    this.#running = false;
  }

  async #send({ item, file, title, policy }) {
    if (item.signal.aborted) return;
    item.begin();
    const server = { origin: this.#api.url('/').origin, send: byXhr(this.#api), store: storage() };
    try {
      const signal = AbortSignal.any([item.signal, this.#signal]);
      const id = await sendInPieces(file, { title, policy }, { ...server, onProgress: (sent) => item.progress(sent), onState: (state) => item.line(state), signal });
      item.sent();
      this.#following.set(id, item);
      const asset = await this.#api.asset(id);
      this.#onUploaded(asset);
      // It may have moved on before anybody followed it.
      this.follow(asset);
    } catch (problem) {
      // Leaving the page keeps what was sent; cancelling does not.
      if (item.signal.aborted) await discard(file, { title, policy }, server);
      if (problem.name === 'AbortError') item.end('idle', 'Cancelled');
      else item.end('bad', advice(problem), problem.status === 0 || problem.status >= 500);
    }
  }
}

/** Where unfinished uploads are remembered; a browser may forbid it. */
function storage() {
  try {
    return window.localStorage;
  } catch {
    return { length: 0, key: () => null, getItem: () => null, setItem: () => {}, removeItem: () => {} };
  }
}

/** What to do about a refused upload. */
export function advice(problem) {
  const said = sentence(problem.message);
  if (problem.status === 413) return `${said} A larger limit is set by REND_MAX_SOURCE_BYTES.`;
  if (problem.status === 507) return `${said} Delete something, or give Rend more disk.`;
  if (problem.status === 403) return `${said} This key needs the scope "upload".`;
  return said;
}

class UploadItem {
  #abort = new AbortController();
  #file;
  #meter = null;
  #ticker = 0;
  #announced = 0;
  #isWaiting = false;
  #title;
  /** When its last byte was acknowledged. */
  sentAt = 0;

  constructor(file, title, { again }) {
    this.#file = file;
    this.#title = title;
    this.bar = h('progress', { max: file.size || 1, value: 0, 'aria-label': `Upload of ${title}` });
    this.words = h('p', { class: 'words', text: 'Waiting for its turn' });
    this.cancel = h('button', { type: 'button', class: 'button bare small', onclick: () => this.#cancelOrClose() }, 'Cancel');
    this.again = h('button', { type: 'button', class: 'button small', hidden: true, onclick: () => (this.element.remove(), again()) }, 'Try again');
    this.element = h(
      'li',
      { class: 'upload', dataset: { state: 'waiting' } },
      h('div', { class: 'upload-head' }, h('p', { class: 'name', text: title }), this.again, this.cancel),
      this.bar,
      this.words,
    );
  }

  get signal() {
    return this.#abort.signal;
  }

  begin() {
    this.element.dataset.state = 'sending';
    this.#meter = new UploadMeter(this.#file.size, performance.now());
    this.#ticker = setInterval(() => this.#paint(), 500);
    this.#paint();
  }

  /** Whether bytes leave, or the server is waited for. */
  line(state) {
    this.#isWaiting = state === 'waiting';
    this.#paint();
  }

  progress(sent) {
    this.#meter.record(sent, performance.now());
    this.#paint();
    const quarter = Math.floor((sent / this.#file.size) * 4);
    if (quarter > this.#announced) {
      this.#announced = quarter;
      say(byId('said'), `${this.#title}: ${percent(sent, this.#file.size)} uploaded`);
    }
  }

  sent() {
    this.sentAt = performance.now();
    this.bar.value = this.bar.max;
    clearInterval(this.#ticker);
    this.element.dataset.state = 'preparing';
    this.cancel.hidden = true;
    say(this.words, 'Uploaded. Making the first seconds playable');
  }

  end(tone, words, mayRetry = false) {
    clearInterval(this.#ticker);
    this.element.dataset.state = tone;
    this.bar.hidden = true;
    this.again.hidden = !mayRetry;
    this.cancel.hidden = false;
    this.cancel.textContent = 'Close';
    say(this.words, words);
    say(byId('said'), `${this.#title}: ${words}`);
  }

  #cancelOrClose() {
    if (['waiting', 'sending'].includes(this.element.dataset.state)) {
      this.#abort.abort();
      if (this.element.dataset.state === 'waiting') this.end('idle', 'Cancelled');
    } else {
      this.element.remove();
    }
  }

  #paint() {
    const now = performance.now();
    const { sentBytes: sent } = this.#meter;
    this.bar.value = sent;
    const total = this.#file.size;
    const left = this.#meter.left(now);
    const speed = this.#meter.speed(now);
    const parts = [`${percent(sent, total)} of ${bytes(total)}`];
    if (this.#isWaiting) return say(this.words, [...parts, 'the connection is lost; going on when it is back'].join(' · '));
    if (speed !== null) parts.push(speed > 0 ? rate(speed) : 'stalled');
    if (sent >= total) parts.push('waiting for the answer');
    else if (left !== null) parts.push(`${span(Math.max(1000, left))} left`);
    return say(this.words, parts.join(' · '));
  }
}
