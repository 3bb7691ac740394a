// The downloads of one video: each rung as one ordinary file, made when somebody asks for it.

import { h, icon } from './dom.js';
import { bytes } from './format.js';
import { sentence } from './session.js';

export class DownloadsBox {
  #api;
  #id;
  #rungs = [];
  #rows = [];
  #list = h('ul', { class: 'renditions' });
  #said = h('p', { class: 'quiet', role: 'status' });

  constructor(api, id) {
    this.#api = api;
    this.#id = id;
    this.element = h('div', { class: 'downloads' }, this.#list, this.#said);
  }

  /** The asset changed: only what is complete, of an asset that is, can be downloaded. */
  update(asset) {
    const complete = asset.source_state === 'ready' ? asset.renditions.filter((rung) => rung.state === 'ready').map((rung) => rung.name) : [];
    const pictures = complete.filter((name) => !name.startsWith('a-'));
    this.#rungs = pictures.length > 0 ? pictures : complete;
    this.#paint();
  }

  /** Asks which files there are. Their URLs work for a while only, so they are asked for whenever the panel is opened. */
  async load() {
    try {
      this.#rows = (await this.#api.downloads(this.#id)).data;
      this.#paint();
    } catch (problem) {
      this.#said.textContent = sentence(problem.message);
    }
  }

  #paint() {
    this.#list.replaceChildren(
      ...(this.#rungs.length === 0 ? [h('li', { class: 'quiet', text: 'Made once all is ready.' })] : this.#rungs.map((rung) => this.#line(rung))),
    );
  }

  #line(rung) {
    const row = this.#rows.find((known) => known.rung === rung);
    const ask = (words) => h('button', { type: 'button', class: 'button small', 'aria-label': `${words} of ${rung}`, onclick: () => this.#try(() => this.#api.askDownload(this.#id, rung)) }, words);
    const remove = () => h('button', { type: 'button', class: 'button bare small bad', 'aria-label': `Remove the file of ${rung}`, title: 'Remove', onclick: () => this.#try(() => this.#api.removeDownload(this.#id, rung)) }, icon('trash', 15));
    const shown = {
      pending: () => ['being made'],
      ready: () => [row.url ? h('a', { href: row.url, text: `Download ${bytes(row.bytes)}` }) : bytes(row.bytes), ' ', remove()],
      failed: () => [row.error?.detail ?? 'failed', ' ', ask('Try again')],
    }[row?.state] ?? (() => [ask('Make a file')]);
    return h('li', { dataset: { state: row?.state ?? 'none' } }, h('span', { class: 'mono', text: rung }), h('span', { class: 'quiet' }, ...shown()));
  }

  async #try(act) {
    try {
      await act();
      this.#said.textContent = '';
    } catch (problem) {
      this.#said.textContent = sentence(problem.message);
    }
    await this.load();
  }
}
