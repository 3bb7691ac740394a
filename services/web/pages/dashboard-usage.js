// What was delivered in the last thirty days, by tier: a picture for the eye, and a table that says the same.

import { h, say } from './dom.js';
import { plural } from './format.js';
import { DAYS, minutes, usageFrom, usageOf } from './usage-view.js';

/** Hours are counted a quarter of an hour after their end. */
const EVERY_MS = 15 * 60_000;
/** Pages of 200 rows: thirty days of every hour and tier are eighteen. */
const PAGES_MAX = 20;
const HIGH = 100;
const STEP = 10;
const SVG = 'http://www.w3.org/2000/svg';
const byId = (id) => document.getElementById(id);

export class Usage {
  #api;
  #signal;
  #timer = 0;

  constructor(api, { signal }) {
    this.#api = api;
    this.#signal = signal;
    byId('usage').replaceChildren(h('p', { class: 'quiet', text: 'Adding up' }));
    say(byId('usage-tally'), '');
    signal.addEventListener('abort', () => clearTimeout(this.#timer), { once: true });
    this.#look();
  }

  async #look() {
    clearTimeout(this.#timer);
    const now = Date.now();
    try {
      const { rows, whole } = await this.#rows(usageFrom(now));
      if (this.#signal.aborted) return;
      this.#show(usageOf(rows, now), whole);
    } catch (problem) {
      if (this.#signal.aborted) return;
      const words = problem.status === 403 ? 'This key may not see usage.' : `Usage could not be read: ${problem.message}.`;
      byId('usage').replaceChildren(h('p', { class: 'quiet', text: words }));
    }
    this.#timer = setTimeout(() => this.#look(), EVERY_MS);
  }

  async #rows(from) {
    const rows = [];
    let cursor = null;
    for (let page = 0; page < PAGES_MAX && !this.#signal.aborted; page += 1) {
      const { data, next_cursor: next } = await this.#api.usage(new Date(from).toISOString(), cursor);
      rows.push(...data);
      if (!next) return { rows, whole: true };
      cursor = next;
    }
    return { rows, whole: false };
  }

  #show(usage, whole) {
    say(byId('usage-tally'), `last ${DAYS} days`);
    if (usage.tiers.length === 0) {
      byId('usage').replaceChildren(h('p', { class: 'quiet', text: 'Nothing was delivered yet. An hour is counted a quarter of an hour after it is over.' }));
      return;
    }
    const row = ({ tier, name, delivered }) => h('tr', { dataset: { tier } }, h('th', { scope: 'row', text: name }), h('td', { text: minutes(delivered) }));
    byId('usage').replaceChildren(
      h(
        'div',
        { class: 'card usage-card' },
        h('figure', {}, picture(usage), h('figcaption', { class: 'quiet', text: `${usage.days[0].day} to ${usage.days.at(-1).day}, by day in UTC` })),
        h(
          'table',
          { class: 'usage-table' },
          h('caption', { class: 'sr', text: `Minutes delivered in the last ${DAYS} days, by tier` }),
          h('thead', {}, h('tr', {}, h('th', { scope: 'col', text: 'Tier' }), h('th', { scope: 'col', text: 'Minutes' }))),
          h('tbody', {}, usage.tiers.map(row)),
          h('tfoot', {}, h('tr', {}, h('th', { scope: 'row', text: 'All' }), h('td', { text: minutes(usage.total) }))),
        ),
        usage.lacking > 0 ? h('p', { class: 'usage-note', text: `${plural(usage.lacking, 'hour')} of these lack${usage.lacking === 1 ? 's' : ''} records: edges lost some, or have not sent all. What is missing is not counted.` }) : null,
        whole ? null : h('p', { class: 'usage-note', text: 'There is more than is added up here.' }),
      ),
    );
  }
}

/** A column a day, each tier a part of it. It says nothing that the table does not. */
function picture({ days, tiers }) {
  const svg = document.createElementNS(SVG, 'svg');
  const set = (element, values) => Object.entries(values).forEach(([name, value]) => element.setAttribute(name, value));
  set(svg, { viewBox: `0 0 ${days.length * STEP} ${HIGH}`, preserveAspectRatio: 'none', 'aria-hidden': 'true', focusable: 'false', class: 'usage-picture' });
  const most = Math.max(...days.map((day) => day.total), 1);
  days.forEach(({ byTier }, n) => {
    let top = HIGH;
    for (const [place, { tier }] of tiers.entries()) {
      const high = ((byTier[tier] ?? 0) / most) * HIGH;
      if (high === 0) continue;
      top -= high;
      const bar = document.createElementNS(SVG, 'rect');
      set(bar, { x: n * STEP + 1, y: top.toFixed(2), width: STEP - 2, height: high.toFixed(2), class: `tier-${place}` });
      svg.append(bar);
    }
  });
  return svg;
}
