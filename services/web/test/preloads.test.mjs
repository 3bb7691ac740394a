// A page names every module that its script needs, so that the browser asks for all of them at once and not one after the
// other as it reads them.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

const read = (name) => readFileSync(new URL(`../pages/${name}`, import.meta.url), 'utf8');
const found = (text, pattern) => [...text.matchAll(pattern)].map((match) => match[1]);

/** Every module that `name` comes to, itself left out. */
function needs(name, met = new Set()) {
  for (const next of found(read(name), /^import (?:[^']* from )?'\.\/([^']+)'/gm)) {
    if (!met.has(next)) needs(next, met.add(next));
  }
  return met;
}

for (const page of ['watch.html', 'embed.html']) {
  test(`${page} preloads the modules that it needs, and no others`, () => {
    const html = read(page);
    const [script] = found(html, /<script type="module" src="\/assets\/([^"]+)"/g);
    // hls.js is loaded by the player once it knows that the browser wants it.
    const expect = [...needs(script), 'hls.js'].sort();
    assert.deepEqual(found(html, /rel="modulepreload" href="\/assets\/([^"]+)"/g).sort(), expect);
  });
}
