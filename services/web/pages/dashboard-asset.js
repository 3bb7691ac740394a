// One video of the list: its line, and behind it the preview, the numbers and the story.

import './rend-player.js';
import { CaptionsBox } from './dashboard-captions.js';
import { DownloadsBox } from './dashboard-downloads.js';
import { eventWords, factsOf, isPlayable, reportOf, rungsOf, statusOf } from './asset-view.js';
import { h, icon, say } from './dom.js';
import { ago, bitrate, bytes, clock, count, percent, plural, span } from './format.js';
import { sentence } from './session.js';

const NUMBERS_EVERY_MS = 10_000;
const NUMBERS_WINDOW_SECS = 86_400;
/** Events of the story that are shown; the newest win. */
const STORY_MAX = 40;

// One observer for all lines: a poster is fetched when its line comes into view, not before.
const inView = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) if (entry.isIntersecting) entry.target.dispatchEvent(new Event('rend-seen'));
  },
  { rootMargin: '120px' },
);

export class AssetRow {
  #api;
  #rim;
  #parts = {};
  #opened = false;
  #player = null;
  #poster = 'none';
  #numbersTimer = 0;
  #story = new Map();
  #jobs = [];
  /** The asset as it was last seen. */
  asset;

  constructor(asset, api, rim) {
    this.#api = api;
    this.#rim = rim;
    this.asset = asset;
    this.#build(asset);
    this.update(asset);
    inView.observe(this.element);
  }

  update(asset) {
    // A list and a single answer may cross on the way; an older one does not win.
    if (Date.parse(asset.updated_at) < Date.parse(this.asset.updated_at)) return;
    this.asset = asset;
    if (asset.jobs) this.#jobs = asset.jobs;
    const parts = this.#parts;
    const status = statusOf(asset);
    this.element.dataset.status = status.tone;
    this.element.dataset.playable = String(isPlayable(asset));
    say(parts.title, asset.title || 'Untitled video');
    say(parts.chip, status.label);
    parts.chip.dataset.tone = status.tone;
    say(parts.facts, factsOf(asset).join(' · '));
    say(parts.when, ago(Date.now() - Date.parse(asset.created_at)));
    parts.when.title = new Date(asset.created_at).toLocaleString();
    parts.lock.hidden = asset.playback_policy !== 'signed';
    say(parts.length, asset.duration_ms ? clock(asset.duration_ms / 1000) : '');
    parts.length.hidden = !asset.duration_ms;
    say(parts.made, status.tone === 'busy' ? status.detail : '');
    say(parts.detail, status.tone === 'bad' ? status.detail : '');
    this.#paintRungs(asset, status);
    parts.copy.hidden = status.tone === 'bad';
    parts.copy.disabled = !isPlayable(asset);
    parts.retry.hidden = status.tone !== 'bad';
    if (this.#seen) this.#loadPoster();
    if (this.#opened) this.#paintPanel();
  }

  /** An event of the log about this asset. */
  heard(event) {
    this.#story.set(event.asset_seq, event);
    while (this.#story.size > STORY_MAX) this.#story.delete(Math.min(...this.#story.keys()));
    if (this.#opened) this.#paintStory();
    if (this.#opened && event.type.startsWith('download.')) this.#parts.downloads.load();
  }

  open(wanted) {
    if (wanted === this.#opened) return;
    this.#opened = wanted;
    this.element.dataset.open = String(wanted);
    this.#parts.toggle.setAttribute('aria-expanded', String(wanted));
    this.#parts.panel.hidden = !wanted;
    clearInterval(this.#numbersTimer);
    if (wanted) {
      this.#paintPanel();
      this.#loadDetails();
      this.#numbersTimer = setInterval(() => this.#loadNumbers(), NUMBERS_EVERY_MS);
    } else {
      this.#player?.remove();
      this.#player = null;
    }
  }

  close() {
    clearInterval(this.#numbersTimer);
    inView.unobserve(this.element);
    this.element.remove();
  }

  #seen = false;

  #build(asset) {
    const parts = this.#parts;
    const panelId = `panel-${asset.id}`;
    parts.image = h('img', { alt: '', hidden: true, decoding: 'async', onerror: () => ((parts.image.hidden = true), (this.#poster = 'none')), onload: () => (parts.image.hidden = false) });
    parts.length = h('span', { class: 'length', hidden: true });
    parts.title = h('span', { class: 'title' });
    parts.chip = h('span', { class: 'chip' });
    parts.lock = h('span', { class: 'lock', title: 'Plays only with a signed link' }, icon('lock', 15), h('span', { class: 'sr', text: 'Signed' }));
    parts.made = h('span');
    parts.facts = h('span');
    parts.when = h('time', { datetime: asset.created_at });
    parts.detail = h('p', { class: 'detail' });
    parts.rungs = h('div', { class: 'rungs', role: 'img', hidden: true });
    parts.toggle = h(
      'button',
      { type: 'button', class: 'toggle', 'aria-expanded': 'false', 'aria-controls': panelId, onclick: () => this.open(!this.#opened) },
      h('span', { class: 'thumb' }, icon('film', 24), parts.image, parts.length),
      h('span', { class: 'names' }, parts.title, h('span', { class: 'meta' }, parts.chip, parts.made, parts.lock, parts.facts, parts.when)),
      h('span', { class: 'arrow' }, icon('chevron', 18)),
    );
    parts.copy = h('button', { type: 'button', class: 'button small', onclick: () => this.#copy() }, icon('link', 16), 'Copy link');
    parts.retry = h('button', { type: 'button', class: 'button small', hidden: true, onclick: () => this.#rim.retry(this.asset) }, icon('replay', 16), 'Try again');
    parts.remove = h('button', { type: 'button', class: 'button bare small bad', onclick: () => this.#rim.remove(this.asset), 'aria-label': 'Delete', title: 'Delete' }, icon('trash', 17));
    parts.stage = h('div', { class: 'preview' });
    parts.failure = h('div', { class: 'failure', hidden: true });
    parts.report = h('ul', { class: 'report', hidden: true, 'aria-label': 'What was not standard about the file' });
    parts.numbers = h('dl', { class: 'numbers' });
    parts.table = h('ul', { class: 'renditions' });
    parts.captions = new CaptionsBox(this.#api, asset.id, () => this.#loadDetails());
    parts.downloads = new DownloadsBox(this.#api, asset.id);
    parts.story = h('ol', { class: 'story' });
    parts.panel = h(
      'div',
      { class: 'panel', id: panelId, hidden: true },
      h('div', { class: 'panel-left' }, parts.stage, parts.failure, parts.report),
      h(
        'div',
        { class: 'panel-right' },
        h('h4', { text: 'Last 24 hours' }),
        parts.numbers,
        h('h4', { text: 'Renditions' }),
        parts.table,
        h('h4', { text: 'Captions' }),
        parts.captions.element,
        h('h4', { text: 'Downloads' }),
        parts.downloads.element,
        h('h4', { text: 'What happened' }),
        parts.story,
        h('p', { class: 'id mono', text: asset.id }),
      ),
    );
    this.element = h(
      'li',
      { class: 'asset', dataset: { id: asset.id, open: 'false' }, 'onrend-seen': () => ((this.#seen = true), this.#loadPoster()) },
      h('div', { class: 'asset-line' }, parts.toggle, h('div', { class: 'deeds' }, parts.retry, parts.copy, parts.remove)),
      parts.detail,
      parts.rungs,
      parts.panel,
    );
  }

  #paintRungs(asset, status) {
    const { rungs, ready, total } = rungsOf(asset);
    const box = this.#parts.rungs;
    box.hidden = status.tone !== 'busy';
    box.setAttribute('aria-label', total > 0 ? `${ready} of ${plural(total, 'rendition')} ready` : 'Being prepared');
    // Before the plan is known the bar has one part that moves.
    const wanted = total > 0 ? rungs.map((rung) => rung.state) : ['unknown'];
    while (box.children.length > wanted.length) box.lastChild.remove();
    while (box.children.length < wanted.length) box.append(h('span'));
    wanted.forEach((state, i) => (box.children[i].dataset.state = state));
    const working = wanted.indexOf('planned');
    [...box.children].forEach((part, i) => (part.dataset.working = String(i === working)));
  }

  #paintPanel() {
    const { asset } = this;
    this.#paintPreview();
    this.#paintFailure();
    this.#paintReport();
    this.#parts.captions.update(asset.captions ?? []);
    this.#parts.downloads.update(asset);
    const { rungs } = rungsOf(asset);
    this.#parts.table.replaceChildren(
      ...(rungs.length === 0
        ? [h('li', { class: 'quiet', text: asset.source_state === 'failed' ? 'None were made.' : 'Planned once the file is read.' })]
        : rungs.map((rung) =>
            h(
              'li',
              { dataset: { state: rung.state } },
              h('span', { class: 'mono', text: rung.name }),
              h('span', { class: 'quiet', text: rung.bandwidth ? bitrate(rung.bandwidth) : rung.state === 'failed' ? (rung.error?.detail ?? rung.error?.code ?? 'failed') : rung.state === 'planned' ? 'encoding' : '' }),
            ),
          )),
    );
    this.#paintStory();
  }

  #paintPreview() {
    const { asset } = this;
    const { stage } = this.#parts;
    stage.hidden = statusOf(asset).tone === 'bad';
    if (stage.hidden) {
      this.#player?.remove();
      this.#player = null;
      return;
    }
    if (this.#player) {
      if (asset.playable_state === 'hls_ready') this.#player.look?.();
      return;
    }
    const player = document.createElement('rend-player');
    player.setAttribute('asset-id', asset.id);
    this.#player = player;
    if (asset.playback_policy !== 'signed') {
      stage.replaceChildren(player);
      return;
    }
    this.#api.playback(asset.id).then(
      ({ bootstrap_token: token }) => {
        if (this.#player !== player) return;
        player.setAttribute('token', token);
        stage.replaceChildren(player);
      },
      (problem) => {
        this.#player = null;
        stage.replaceChildren(h('p', { class: 'quiet', text: problem.status === 409 ? 'Still being prepared.' : sentence(problem.message) }));
      },
    );
  }

  #paintReport() {
    const notes = reportOf(this.asset);
    this.#parts.report.hidden = notes.length === 0;
    this.#parts.report.replaceChildren(...notes.map(({ what, cost }) => h('li', { class: 'quiet' }, what, cost ? ` Playback waited ${cost} for it.` : '')));
  }

  #paintFailure() {
    const { failure } = this.#parts;
    const { asset } = this;
    failure.hidden = statusOf(asset).tone !== 'bad' && !asset.degraded;
    if (failure.hidden) return;
    const broken = this.#jobs.filter((job) => job.error);
    const status = statusOf(asset);
    failure.replaceChildren(
      h('p', { class: 'failure-title' }, icon('alert', 18), status.detail),
      h('p', { class: 'quiet' }, ...(asset.failure?.code ? ['Code ', h('code', { text: asset.failure.code })] : []), broken[0] ? ` · ${broken[0].kind}, attempt ${broken[0].attempt} of ${broken[0].attempts_max}, ${broken[0].error.class}` : ''),
      ...broken
        .filter((job) => job.error.stderr_tail)
        .map((job) => h('details', { open: true }, h('summary', { text: `Last words of ${job.kind}` }), h('pre', { class: 'mono', tabindex: '0' }, h('code', { text: job.error.stderr_tail })))),
    );
  }

  #paintStory() {
    const events = [...this.#story.values()].sort((a, b) => a.asset_seq - b.asset_seq);
    const begin = events.length > 0 ? Date.parse(events[0].at) : 0;
    this.#parts.story.replaceChildren(
      ...events.map((event, i) =>
        h('li', {}, h('span', { text: eventWords(event) }), h('time', { class: 'quiet', datetime: event.at, text: i === 0 ? ago(Date.now() - begin) : `+${span(Date.parse(event.at) - begin)}` })),
      ),
    );
  }

  async #loadDetails() {
    this.#loadNumbers();
    this.#parts.downloads.load();
    const { id } = this.asset;
    const [full, history] = await Promise.allSettled([this.#api.asset(id), this.#api.history(id)]);
    if (history.status === 'fulfilled') for (const event of history.value.data.slice(-STORY_MAX)) this.#story.set(event.asset_seq, event);
    if (full.status === 'fulfilled') this.update(full.value);
    else if (this.#opened) this.#paintStory();
  }

  async #loadNumbers() {
    if (document.visibilityState !== 'visible') return;
    const { numbers } = this.#parts;
    try {
      const seen = await this.#api.analytics(this.asset.id, NUMBERS_WINDOW_SECS);
      const answered = Object.values(seen.by_cache ?? {}).reduce((sum, n) => sum + n, 0);
      const hits = seen.by_cache?.HIT ?? 0;
      const fact = (name, value) => h('div', {}, h('dt', { text: name }), h('dd', { text: value }));
      numbers.replaceChildren(
        fact('Viewers', count(seen.sessions)),
        fact('Delivered', bytes(seen.bytes)),
        fact('Requests', count(seen.requests)),
        fact('From cache', answered > 0 ? percent(hits, answered) : '–'),
      );
    } catch (problem) {
      numbers.replaceChildren(h('p', { class: 'quiet', text: problem.status === 403 ? 'This key may not see the numbers.' : 'The numbers could not be read.' }));
    }
  }

  async #loadPoster() {
    if (this.#poster !== 'none' || !isPlayable(this.asset)) return;
    this.#poster = 'asked';
    try {
      const { id, playback_policy: policy } = this.asset;
      const token = policy === 'signed' ? (await this.#api.playback(id)).bootstrap_token : null;
      const { poster_url: poster } = await this.#api.bootstrap(id, token);
      // An asset whose first seconds play may have no poster yet; the next change of it asks again.
      if (!poster) throw new Error('no poster yet');
      this.#parts.image.src = poster;
    } catch {
      this.#poster = 'none';
    }
  }

  async #copy() {
    const { asset } = this;
    let link = asset.playback_url;
    try {
      if (asset.playback_policy === 'signed') {
        const { player_url: path, expires_at: until } = await this.#api.playback(asset.id);
        link = new URL(path, location.origin).href;
        await navigator.clipboard.writeText(link);
        this.#rim.toast(`Signed link copied. It expires in ${span(Date.parse(until) - Date.now())}`);
      } else {
        await navigator.clipboard.writeText(link);
        this.#rim.toast('Link copied');
      }
    } catch {
      // Where the clipboard is not allowed the link is shown to be copied by hand.
      window.prompt('Copy this link', link);
    }
  }
}
