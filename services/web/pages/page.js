// What the addresses of the player pages say.

/** The asset id and the options of `/watch/{id}` or `/embed/{id}`. */
export function urlFacts({ pathname, search }) {
  const asked = new URLSearchParams(search);
  const yes = (name) => asked.has(name) && !['0', 'false'].includes(asked.get(name));
  const start = Number(asked.get('start') ?? asked.get('t'));
  const buffer = Number(asked.get('buffer'));
  const engine = asked.get('engine');
  return {
    assetId: decodeURIComponent(/^\/(?:watch|embed)\/([^/]+)/.exec(pathname)?.[1] ?? ''),
    token: asked.get('token'),
    transport: asked.get('transport') === 'path' ? 'path' : null,
    autoplay: yes('autoplay'),
    muted: yes('muted'),
    loop: yes('loop'),
    start: start > 0 ? start : null,
    buffer: buffer > 0 ? buffer : null,
    engine: engine === 'hls' || engine === 'native' ? engine : null,
  };
}

/** A player for these facts; `more` wins over them. */
export function playerFrom(facts, more = {}) {
  const wanted = { ...facts, ...more };
  const player = document.createElement('rend-player');
  const set = (name, value) => value !== null && value !== undefined && value !== false && player.setAttribute(name, value === true ? '' : String(value));
  set('asset-id', wanted.assetId);
  for (const name of ['token', 'transport', 'autoplay', 'muted', 'loop', 'start', 'buffer', 'engine']) set(name, wanted[name]);
  return player;
}
