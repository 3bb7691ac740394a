// The page inside an iframe: the player fills it. The host page may listen to its state by postMessage.

import './rend-player.js';
import { playerFrom, urlFacts } from './page.js';

const player = playerFrom(urlFacts(location));
document.body.append(player);

player.addEventListener('rend-bootstrap', ({ detail }) => {
  document.title = `${detail.bootstrap.title?.trim() || 'Video'} · Rend`;
});

player.addEventListener('rend-state', ({ detail }) => {
  // Any page may embed, so the message goes to whichever it is; it holds nothing but the word for what one sees.
  if (window.parent !== window) window.parent.postMessage({ source: 'rend-player', state: detail.state }, '*');
});

document.addEventListener('keydown', (event) => {
  if (event.target === document.body) player.key(event);
});
