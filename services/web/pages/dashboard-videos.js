// The list of videos: pages of it, what the event log says about them, and the details of those that are open.

import { isNews, isPlayable, isSettled } from './asset-view.js';
import { AssetRow } from './dashboard-asset.js';
import { say } from './dom.js';
import { plural } from './format.js';

const PAGE = 20;
/** Events about one asset that arrive within this time are answered by one request. */
const GATHER_MS = 120;
/** Questions about assets that are open at once; a burst of events waits its turn. */
const ASKING_MAX = 4;
/** While an asset is on its way it is asked after this often too, so that a lost event stream shows in nothing but its pace. */
const WATCH_MS = 4_000;
const byId = (id) => document.getElementById(id);

export class Videos {
  #api;
  #rim;
  #rows = new Map();
  #cursor = null;
  #due = new Map();
  #asking = 0;
  #queue = [];
  #watch = 0;
  /** Called with every asset whose state may have changed. */
  onChange = () => {};

  constructor(api, rim) {
    this.#api = api;
    this.#rim = rim;
    const { signal } = rim;
    byId('more').addEventListener('click', () => this.#older(), { signal });
    this.#watch = setInterval(() => this.#watchMoving(), WATCH_MS);
    signal.addEventListener('abort', () => this.#close(), { once: true });
  }

  begin({ data, next_cursor: next }) {
    byId('list').replaceChildren();
    byId('list').setAttribute('aria-busy', 'false');
    this.#cursor = next;
    for (const asset of data) this.#put(asset);
    this.#paint();
  }

  /** Shows an asset at its place, in front of everything when it is new, and opens it. */
  show(asset) {
    this.#put(asset);
    this.#paint();
    this.#rows.get(asset.id).open(true);
  }

  /** An event of the log. */
  heard(event) {
    const row = this.#rows.get(event.asset_id);
    row?.heard(event);
    if (row && event.type.startsWith('asset.delet')) this.#drop(event.asset_id);
    else if (isNews(event, row?.asset, this.#oldest())) this.#soon(event.asset_id);
  }

  /** Looks at the newest page again. */
  async refresh() {
    try {
      const { data, next_cursor: next } = await this.#api.assets(null, PAGE);
      const seen = new Set(data.map((asset) => asset.id));
      for (const asset of data) this.#put(asset);
      // What the fresh page should hold but does not is gone; rows from older pages are not its business.
      const until = next === null ? '' : (data.at(-1)?.id ?? '');
      for (const id of [...this.#rows.keys()]) if (id >= until && !seen.has(id)) this.#drop(id);
      this.#trouble('');
      this.#paint();
    } catch (problem) {
      this.#trouble(problem.message);
    }
  }

  #oldest() {
    if (this.#cursor === null) return null;
    return [...this.#rows.keys()].sort()[0] ?? null;
  }

  #soon(id) {
    if (this.#due.has(id)) return;
    this.#due.set(id, setTimeout(() => {
      this.#due.delete(id);
      this.#queue.push(id);
      this.#next();
    }, GATHER_MS));
  }

  async #next() {
    if (this.#asking >= ASKING_MAX || this.#queue.length === 0) return;
    const id = this.#queue.shift();
    this.#asking += 1;
    try {
      const asset = await this.#api.asset(id);
      if (!this.#rim.signal.aborted) this.#put(asset);
    } catch (problem) {
      if (problem.status === 404) this.#drop(id);
    } finally {
      this.#asking -= 1;
    }
    this.#paint();
    this.#next();
  }

  #watchMoving() {
    if (document.visibilityState !== 'visible') return;
    for (const [id, row] of this.#rows) if (!isSettled(row.asset)) this.#soon(id);
  }

  async #older() {
    const button = byId('more');
    button.disabled = true;
    try {
      const { data, next_cursor: next } = await this.#api.assets(this.#cursor, PAGE);
      this.#cursor = next;
      for (const asset of data) this.#put(asset);
    } catch (problem) {
      this.#trouble(problem.message);
    }
    button.disabled = false;
    this.#paint();
  }

  #put(asset) {
    if (asset.source_state === 'deleted') return this.#drop(asset.id);
    const row = this.#rows.get(asset.id);
    if (row) {
      row.update(asset);
    } else {
      const fresh = new AssetRow(asset, this.#api, { ...this.#rim, remove: (it) => this.#remove(it), retry: (it) => this.#retry(it) });
      this.#rows.set(asset.id, fresh);
      // Ids rise with time and the newest stands first.
      const next = [...byId('list').children].find((other) => other.dataset.id < asset.id);
      byId('list').insertBefore(fresh.element, next ?? null);
    }
    if (isPlayable(asset) || isSettled(asset)) this.onChange(asset);
    return undefined;
  }

  #drop(id) {
    this.#rows.get(id)?.close();
    this.#rows.delete(id);
    this.#paint();
  }

  async #remove(asset) {
    const sure = await this.#rim.ask(`“${asset.title}” stops playing everywhere at once, and its files are removed. This cannot be undone.`);
    if (!sure) return;
    try {
      await this.#api.remove(asset.id);
      const neighbour = this.#rows.get(asset.id)?.element.nextElementSibling;
      this.#drop(asset.id);
      (neighbour?.querySelector('button') ?? byId('videos')).focus();
      this.#rim.toast('Deleted');
    } catch (problem) {
      this.#trouble(problem.status === 403 ? 'this key needs the scope "delete"' : problem.message);
    }
  }

  async #retry(asset) {
    try {
      this.#put(await this.#api.retry(asset.id));
      this.#rim.toast('Queued again');
    } catch (problem) {
      this.#trouble(problem.message);
    }
  }

  #paint() {
    const { size } = this.#rows;
    say(byId('tally'), size === 0 ? '' : this.#cursor === null ? plural(size, 'video') : `the newest ${size}`);
    byId('empty').hidden = size > 0;
    byId('more').hidden = this.#cursor === null;
  }

  #trouble(words) {
    byId('trouble').hidden = words === '';
    say(byId('trouble'), words === '' ? '' : `That did not work: ${words}.`);
  }

  #close() {
    clearInterval(this.#watch);
    for (const timer of this.#due.values()) clearTimeout(timer);
    for (const row of this.#rows.values()) row.close();
    this.#rows.clear();
  }
}
