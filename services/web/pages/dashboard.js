// The dashboard: the key, and the parts that the key opens.

import { Api, Problem } from './api.js';
import { Fleet } from './dashboard-fleet.js';
import { Uploads } from './dashboard-upload.js';
import { Usage } from './dashboard-usage.js';
import { Videos } from './dashboard-videos.js';
import { h, icon, say } from './dom.js';
import { loadHls, nativeHls } from './engine.js';
import { follow } from './sse.js';

const KEY_NAME = 'rend-key';
const TOAST_MS = 2_600;
const byId = (id) => document.getElementById(id);

let desk = null;

// A key that came in the fragment never reached a server; it is moved out of the address before anything else happens.
const handed = new URLSearchParams(location.hash.slice(1)).get('key');
if (handed) {
  sessionStorage.setItem(KEY_NAME, handed);
  history.replaceState(null, '', location.pathname + location.search);
}

byId('drop-sign').append(icon('upload', 26));
byId('empty-sign').append(icon('film', 28));
byId('door-form').addEventListener('submit', (event) => {
  event.preventDefault();
  enter(byId('key').value.trim());
});
byId('leave').addEventListener('click', () => leave(''));

const kept = sessionStorage.getItem(KEY_NAME);
if (kept) enter(kept);
else leave('');

async function enter(key) {
  const api = new Api(location.origin, key);
  say(byId('key-error'), '');
  let first = null;
  try {
    first = await api.assets(null, 20);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (problem.status === 401) return leave('This key is not known here. It may have been revoked, or belong to another Rend.');
    if (problem.status === 403) return leave('This key may not list videos. Make one with the scope "read".');
    return leave(`The dashboard could not be opened: ${problem.message}.`);
  }
  sessionStorage.setItem(KEY_NAME, key);
  byId('key').value = '';
  byId('door').hidden = true;
  byId('desk').hidden = false;
  byId('leave').hidden = false;
  byId('live').hidden = false;
  desk = open(api, first);
  return undefined;
}

function leave(why) {
  sessionStorage.removeItem(KEY_NAME);
  desk?.abort();
  desk = null;
  byId('desk').hidden = true;
  byId('leave').hidden = true;
  byId('live').hidden = true;
  byId('door').hidden = false;
  say(byId('key-error'), why);
  byId('key').focus();
}

/** Opens all parts; the controller that comes back closes them. */
function open(api, firstPage) {
  const life = new AbortController();
  const { signal } = life;
  const videos = new Videos(api, { toast, ask: confirm, signal });
  const uploads = new Uploads(api, { onUploaded: (asset) => videos.show(asset), signal });
  new Fleet(api, { signal });
  new Usage(api, { signal });
  videos.onChange = (asset) => uploads.follow(asset);
  videos.begin(firstPage);
  follow({
    url: api.url('/v1/events'),
    headers: api.headers,
    signal,
    onEvent: (event) => {
      try {
        videos.heard(JSON.parse(event.data));
      } catch (problem) {
        // One event that cannot be read must not silence those after it.
        console.warn('an event could not be read', problem.message);
      }
    },
    onState: (state) => {
      if (state === 'refused') return leave('This key was revoked.');
      byId('live').dataset.state = state;
      say(byId('live-words'), { live: 'Live', waiting: 'Reconnecting' }[state]);
      // Whatever happened during a break is in the log behind the last event, but a fresh look costs one request.
      if (state === 'live') videos.refresh();
      return undefined;
    },
  });
  loadHls().then((Hls) => {
    if (Hls) return;
    byId('no-hls').hidden = false;
    say(byId('no-hls-here'), nativeHls(document.createElement('video')) ? 'this one does' : 'this one does not');
  });
  return life;
}

let toastTimer = 0;
function toast(words) {
  const box = byId('toast');
  box.replaceChildren(icon('check', 18), h('span', { text: words }));
  box.dataset.shown = 'true';
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (box.dataset.shown = 'false'), TOAST_MS);
}

/** Asks before what cannot be undone. */
function confirm(text) {
  const dialog = byId('confirm');
  say(byId('confirm-text'), text);
  dialog.returnValue = 'no';
  dialog.showModal();
  return new Promise((answer) => dialog.addEventListener('close', () => answer(dialog.returnValue === 'yes'), { once: true }));
}
