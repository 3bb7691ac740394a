// The edges and the latest word of the readiness gate, asked for again and again while somebody looks.

import { gateOf } from './asset-view.js';
import { h, icon, say } from './dom.js';
import { ago, bytes, count, percent, plural, span } from './format.js';

const EVERY_MS = 5_000;
const byId = (id) => document.getElementById(id);

export class Fleet {
  #api;
  #signal;
  #timer = 0;
  #painted = { edges: '', gate: '' };

  constructor(api, { signal }) {
    this.#api = api;
    this.#signal = signal;
    byId('edges').replaceChildren(h('p', { class: 'quiet', text: 'Asking the edges' }));
    byId('gate').replaceChildren();
    signal.addEventListener('abort', () => clearTimeout(this.#timer), { once: true });
    document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && this.#look(), { signal });
    this.#look();
  }

  async #look() {
    clearTimeout(this.#timer);
    try {
      const fleet = await this.#api.fleet();
      if (this.#signal.aborted) return;
      this.#edges(fleet);
      this.#gate(fleet.gate);
    } catch (problem) {
      if (this.#signal.aborted) return;
      this.#painted.edges = '';
      byId('edges').replaceChildren(h('p', { class: 'quiet', text: problem.status === 403 ? 'This key may not see the fleet.' : `The fleet could not be read: ${problem.message}.` }));
    }
    // A page that nobody looks at asks nothing.
    if (document.visibilityState === 'visible') this.#timer = setTimeout(() => this.#look(), EVERY_MS);
  }

  #edges({ edges, purge_head: head }) {
    const live = edges.filter((edge) => edge.live).length;
    say(byId('fleet-tally'), edges.length > 0 ? `${live} of ${plural(edges.length, 'edge')} live` : '');
    const now = JSON.stringify([edges, head]);
    if (now === this.#painted.edges) return;
    this.#painted.edges = now;
    if (edges.length === 0) {
      byId('edges').replaceChildren(
        h('p', { class: 'quiet' }, 'No edge has registered yet. ', h('code', { text: 'rend up' }), ' starts one; further ones register by themselves with ', h('code', { text: 'REND_CONTROL_PLANE_URL' }), '.'),
      );
      return;
    }
    byId('edges').replaceChildren(...edges.map((edge) => edgeCard(edge, head)));
  }

  #gate(report) {
    const now = JSON.stringify(report);
    if (now === this.#painted.gate) return;
    this.#painted.gate = now;
    const gate = gateOf(report);
    if (!gate) {
      byId('gate').replaceChildren(
        h('p', { class: 'quiet', text: 'Never run here. It uploads a clip of its own and follows it to the picture and away again:' }),
        h('pre', { class: 'mono' }, h('code', { text: 'rend gate --target embedded' })),
      );
      return;
    }
    const words = { pass: 'Pass', warn: 'Pass, with warnings', fail: 'Fail', unknown: 'No verdict' };
    const tone = { pass: 'good', warn: 'warn', fail: 'bad', unknown: 'idle' }[gate.verdict];
    byId('gate').replaceChildren(
      h(
        'div',
        { class: 'card gate-card', dataset: { verdict: gate.verdict } },
        h('div', { class: 'edge-head' }, h('span', { class: 'chip', dataset: { tone }, text: words[gate.verdict] }), h('span', { class: 'quiet', text: gate.at ? ago(Date.now() - gate.at) : '' })),
        gate.steps > 0 ? h('p', { class: 'quiet', text: `${gate.passed} of ${plural(gate.steps, 'step')} passed${gate.target ? ` · ${gate.target}` : ''}` }) : null,
        gate.reasons.length > 0 ? h('ul', { class: 'reasons' }, gate.reasons.map((reason) => h('li', { text: reason }))) : null,
        gate.timings.length > 0
          ? h(
              'dl',
              { class: 'timings' },
              gate.timings.map(({ name, ms, verdict }) => h('div', {}, h('dt', { text: name }), h('dd', { text: span(ms), dataset: verdict === 'pass' ? {} : { tone: verdict === 'fail' ? 'bad' : 'warn' } }))),
            )
          : null,
      ),
    );
  }
}

function cacheBar(id, { bytes_max: max = 0, bytes_used: used = 0 }, words) {
  const fill = h('span');
  fill.style.width = `${max > 0 ? Math.min(100, (used / max) * 100) : 0}%`;
  return h('div', { class: 'meter', role: 'meter', 'aria-valuemin': 0, 'aria-valuemax': max, 'aria-valuenow': used, 'aria-valuetext': words, 'aria-label': `Cache of ${id}` }, fill);
}

function edgeCard(edge, head) {
  const { cache = {} } = edge;
  const tone = !edge.live ? 'bad' : edge.state === 'active' ? 'good' : 'warn';
  const word = !edge.live ? 'not heard from' : edge.state;
  const behind = head - edge.purge_seen;
  const used = `${bytes(cache.bytes_used)} of ${bytes(cache.bytes_max)}`;
  const fact = (name, value, tone_) => h('div', {}, h('dt', { text: name }), h('dd', { text: value, dataset: tone_ ? { tone: tone_ } : {} }));
  return h(
    'article',
    { class: 'card edge', dataset: { edge: edge.id } },
    h('div', { class: 'edge-head' }, h('span', { class: 'server' }, icon('server', 18)), h('h3', { text: edge.id }), h('span', { class: 'chip', dataset: { tone }, text: word })),
    h('p', { class: 'quiet', text: `${edge.region} · heard ${ago(edge.heartbeat_age_ms)} · ${edge.version ?? ''}` }),
    h(
      'div',
      { class: 'cache' },
      h('div', { class: 'cache-words' }, h('span', { text: 'Cache' }), h('span', { text: `${used} · ${percent(cache.bytes_used, cache.bytes_max)}` })),
      cacheBar(edge.id, cache, used),
    ),
    h(
      'dl',
      { class: 'facts' },
      fact('Entries', count(cache.entries)),
      fact('Filling', count(edge.fills)),
      fact('Spool', plural(edge.spool_events, 'event')),
      fact('Dropped', count(edge.dropped_events), edge.dropped_events > 0 ? 'bad' : null),
      fact('Disk free', bytes(edge.disk_bytes_free)),
      fact('Purges', behind > 0 ? `${behind} behind` : 'all seen', behind > 0 ? 'warn' : null),
    ),
  );
}
