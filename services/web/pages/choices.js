// What viewers chose once and mean again: kept in the browser where it lets us, forgotten where it does not.

const PREFIX = 'rend-player-';

/** What was kept under `name`, or null. A frame that may not store anything has kept nothing. */
export function recalled(name, store = storage()) {
  try {
    return store?.getItem(PREFIX + name) ?? null;
  } catch {
    return null;
  }
}

export function keep(name, value, store = storage()) {
  try {
    store?.setItem(PREFIX + name, value);
  } catch {
    // The choice holds for this page.
  }
}

/**
 * The index of the track to use: the one in the language that was chosen before, or in another variety of it; with nothing chosen, the
 * one that is meant for everybody; else -1. An empty choice means none.
 */
export function preferred(tracks, chosen) {
  if (chosen === '') return -1;
  if (chosen !== null) {
    const main = (lang) => (lang ?? '').toLowerCase().split('-')[0];
    const exact = tracks.find((track) => (track.lang ?? '').toLowerCase() === chosen.toLowerCase());
    const near = exact ?? tracks.find((track) => main(track.lang) === main(chosen));
    if (near) return near.index;
  }
  return tracks.find((track) => track.default)?.index ?? -1;
}

function storage() {
  try {
    return globalThis.localStorage ?? null;
  } catch {
    return null;
  }
}
