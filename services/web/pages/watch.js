// The watch page: the player, the title, and a way to pass the video on.

import './rend-player.js';
import { h } from './dom.js';
import { clock } from './format.js';
import { playerFrom, urlFacts } from './page.js';

const facts = urlFacts(location);
const byId = (id) => document.getElementById(id);
const player = playerFrom(facts, { autoplay: true });
byId('stage').append(player);

player.addEventListener('rend-bootstrap', ({ detail }) => {
  const { title, duration_ms: duration, playable_state: playable } = detail.bootstrap;
  const name = title?.trim() || 'Untitled video';
  byId('title').textContent = name;
  document.title = `${name} · Rend`;
  byId('facts').replaceChildren(
    duration ? clock(duration / 1000) : '',
    playable === 'opener_ready' ? h('span', { text: `${duration ? ' · ' : ''}still encoding, already playing` }) : '',
  );
  byId('deeds').hidden = false;
  document.body.dataset.known = 'true';
});

player.addEventListener('rend-state', ({ detail }) => {
  const { state } = detail;
  document.body.dataset.state = state;
  if (state === 'gone' || state === 'denied') {
    const name = state === 'gone' ? 'This video is gone' : 'This link does not open the video';
    document.title = `${name} · Rend`;
    byId('title').textContent = name;
  }
});

// The player's keys work on the whole page, except where a person types.
document.addEventListener('keydown', (event) => {
  const { target } = event;
  if (target === player || target.closest?.('input, textarea, select, button, a')) return;
  player.key(event);
});

byId('copy').addEventListener('click', (event) => copied(event.currentTarget, location.href, 'Link copied'));
byId('embed').addEventListener('click', (event) => {
  const box = byId('embed-box');
  box.hidden = !box.hidden;
  event.currentTarget.setAttribute('aria-expanded', String(!box.hidden));
  const source = new URL(`/embed/${facts.assetId}${location.search}`, location.origin).href;
  byId('embed-code').value =
    `<iframe src="${source}" width="960" height="540" allow="autoplay; fullscreen; picture-in-picture" style="border:0" title="Video"></iframe>`;
  if (!box.hidden) byId('embed-code').select();
});
byId('embed-copy').addEventListener('click', (event) => copied(event.currentTarget, byId('embed-code').value, 'Code copied'));

async function copied(button, text, words) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = 'Copied';
    byId('said').textContent = words;
  } catch {
    // Without permission for the clipboard the address bar and the field still have it.
    byId('said').textContent = 'The browser did not allow copying';
  }
  setTimeout(() => (button.textContent = before), 1_600);
}
