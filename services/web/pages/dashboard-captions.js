// The captions of one video: which there are, a file more, one less.

import { h, icon } from './dom.js';
import { plural } from './format.js';
import { sentence } from './session.js';

export class CaptionsBox {
  #api;
  #id;
  #changed;
  #list = h('ul', { class: 'renditions' });
  #lang = h('input', { class: 'field', name: 'lang', placeholder: 'Language, such as en or pt-BR', 'aria-label': 'Language of the captions', maxlength: 12, required: true, autocomplete: 'off', spellcheck: 'false' });
  #file = h('input', { class: 'sr', type: 'file', accept: '.vtt,.srt,text/vtt,application/x-subrip', 'aria-label': 'File with captions', tabindex: '-1' });
  #said = h('p', { class: 'quiet', role: 'status' });

  /** `changed()` is called when something was added or taken away. */
  constructor(api, id, changed) {
    this.#api = api;
    this.#id = id;
    this.#changed = changed;
    const form = h('form', { class: 'captions-form' }, this.#lang, h('button', { type: 'submit', class: 'button small' }, icon('upload', 16), 'Add captions'), this.#file);
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#file.click();
    });
    this.#file.addEventListener('change', () => this.#add(this.#file.files[0]));
    this.element = h('div', { class: 'captions' }, this.#list, form, this.#said);
  }

  update(rows) {
    this.#list.hidden = rows.length === 0;
    this.#list.replaceChildren(
      ...rows.map((row) =>
        h(
          'li',
          { dataset: { state: row.state } },
          h('span', {}, h('span', { class: 'mono', text: row.lang }), ` ${row.label}`),
          h(
            'span',
            { class: 'quiet' },
            `${plural(row.cues, 'cue')}${row.default ? ', shown by default' : ''}${row.state === 'published' ? '' : ', waits'} `,
            h('button', { type: 'button', class: 'button bare small bad', 'aria-label': `Remove captions ${row.label}`, title: 'Remove', onclick: () => this.#remove(row) }, icon('trash', 15)),
          ),
        ),
      ),
    );
  }

  async #add(file) {
    if (!file) return;
    await this.#try(() => this.#api.giveCaptions(this.#id, this.#lang.value.trim(), file), `${file.name} is taken.`);
    this.#file.value = '';
  }

  #remove(row) {
    return this.#try(() => this.#api.removeCaptions(this.#id, row.lang), `${row.label} is gone.`);
  }

  async #try(act, done) {
    try {
      await act();
      this.#said.textContent = done;
      this.#changed();
    } catch (problem) {
      this.#said.textContent = sentence(problem.message);
    }
  }
}
