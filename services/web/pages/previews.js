// Small stills over the seek bar: one picture of many, and a WebVTT index that says which part belongs to which instant.

/** Stills of one storyboard at most; what a server names beyond that is not looked at. */
const TILES_MAX = 1000;

/** The stills that an index names: `{from, to, x, y, width, height, picture}`, with times in seconds. */
export function tilesOf(text) {
  const tiles = [];
  let span = null;
  for (const line of String(text).split(/\r\n|\r|\n/)) {
    const times = /^(\S+) --> (\S+)/.exec(line);
    const part = /^([a-z0-9_.-]+)#xywh=(\d+),(\d+),(\d+),(\d+)$/.exec(line.trim());
    if (times) span = [seconds(times[1]), seconds(times[2])];
    else if (part && span && tiles.length < TILES_MAX) {
      const [x, y, width, height] = part.slice(2).map(Number);
      tiles.push({ from: span[0], to: span[1], picture: part[1], x, y, width, height });
      span = null;
    }
  }
  return tiles;
}

function seconds(text) {
  return text.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);
}

/** Fetches an index when it is first wanted, and says which still belongs to an instant. */
export class Previews {
  #url = null;
  #credentials = 'omit';
  #tiles = null;

  /** Where the index is, and whether a cookie opens it. A renewed grant changes the address and not what was fetched. */
  aim(url, withCookie) {
    this.#url = url ?? null;
    this.#credentials = withCookie ? 'include' : 'omit';
  }

  forget() {
    this.#tiles = null;
    this.#url = null;
  }

  /** The still at `at` seconds with the address of its picture, or null while none is known. */
  tile(at) {
    if (this.#tiles === null && this.#url) this.#fetch();
    const found = (this.#tiles ?? []).find((tile) => at >= tile.from && at < tile.to) ?? this.#tiles?.at(-1);
    return found ? { ...found, url: new URL(found.picture, this.#url).href } : null;
  }

  async #fetch() {
    // Asked for once: a video without stills has none a second later either.
    this.#tiles = [];
    const url = this.#url;
    try {
      const answer = await fetch(url, { credentials: this.#credentials });
      if (answer.ok && url === this.#url) this.#tiles = tilesOf(await answer.text());
    } catch {
      // Seeking works without pictures.
    }
  }
}
