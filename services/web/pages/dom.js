// Building the page without markup in strings: nothing that a server or a person wrote is ever read as HTML.

const SVG = 'http://www.w3.org/2000/svg';

/** An element. Properties that begin with `on` are listeners, `dataset` and `class` mean themselves, the rest are attributes. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'dataset') Object.assign(element.dataset, value);
    else if (name === 'text') element.textContent = value;
    else if (name === 'value') element.value = value;
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// Drawn on a 24 × 24 grid with round, 1.75 wide strokes; `fill` paths are solid.
const ICONS = {
  play: { fill: 'M8 5.6v12.8c0 .9 1 1.4 1.7.9l9.3-6.4c.7-.4.7-1.4 0-1.8L9.7 4.7C9 4.2 8 4.7 8 5.6Z' },
  pause: { fill: 'M7.5 5h2.5a.6.6 0 0 1 .6.6v12.8a.6.6 0 0 1-.6.6H7.5a.6.6 0 0 1-.6-.6V5.6a.6.6 0 0 1 .6-.6ZM14 5h2.5a.6.6 0 0 1 .6.6v12.8a.6.6 0 0 1-.6.6H14a.6.6 0 0 1-.6-.6V5.6A.6.6 0 0 1 14 5Z' },
  replay: { line: 'M4.5 12a7.5 7.5 0 1 0 2.2-5.3L4.5 9M4.5 4.5V9H9' },
  volume: { line: 'M4 9.5v5h3.2L12 18.5v-13L7.2 9.5H4ZM15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a7.8 7.8 0 0 1 0 11' },
  muted: { line: 'M4 9.5v5h3.2L12 18.5v-13L7.2 9.5H4ZM16 9.7l4.6 4.6M20.6 9.7 16 14.3' },
  expand: { line: 'M4.5 9V4.5H9M15 4.5h4.5V9M19.5 15v4.5H15M9 19.5H4.5V15' },
  shrink: { line: 'M9 4.5V9H4.5M19.5 9H15V4.5M15 19.5V15h4.5M4.5 15H9v4.5' },
  picture: { line: 'M4 5.5h16v13H4zM12 12h5v4h-5z' },
  link: { line: 'M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3a4 4 0 0 0 5.7 5.7l1-1' },
  trash: { line: 'M5 7h14M10 7V4.8h4V7M7 7l.8 12.2h8.4L17 7M10.3 10.5v5.5M13.7 10.5v5.5' },
  upload: { line: 'M12 15.5V5M7.8 9 12 4.8 16.2 9M5 15v3.2c0 .7.6 1.3 1.3 1.3h11.4c.7 0 1.3-.6 1.3-1.3V15' },
  check: { line: 'm5.5 12.5 4.2 4.2 8.8-9.2' },
  alert: { line: 'M12 8.5v4.5M12 16.2v.1M12 4 3.5 19h17L12 4Z' },
  lock: { line: 'M7.5 11V8.2a4.5 4.5 0 0 1 9 0V11M6 11h12v8.5H6z' },
  gone: { line: 'M4.5 6.5h15v11h-15zM4 4l16 16' },
  offline: { line: 'M4 9.5a12 12 0 0 1 4-2.4M12 6.3a12 12 0 0 1 8 3.2M7 13a7.5 7.5 0 0 1 3-1.7M14.5 11.5A7.5 7.5 0 0 1 17 13M12 17.5v.1M4.5 4.5l15 15' },
  chevron: { line: 'm8 10 4 4 4-4' },
  close: { line: 'm6.5 6.5 11 11M17.5 6.5l-11 11' },
  film: { line: 'M4 5.5h16v13H4zM8 5.5v13M16 5.5v13M4 12h16' },
  server: { line: 'M4.5 5h15v5.5h-15zM4.5 13.5h15V19h-15zM8 7.8h.1M8 16.3h.1' },
  external: { line: 'M13.5 5H19v5.5M19 5l-8 8M10 6H5.5v12.5H18V14' },
  code: { line: 'm8.5 8-4 4 4 4M15.5 8l4 4-4 4' },
};

/** A drawing that says nothing by itself: whatever carries it has the words. */
export function icon(name, size = 20) {
  const svg = document.createElementNS(SVG, 'svg');
  for (const [key, value] of Object.entries({ viewBox: '0 0 24 24', width: size, height: size, 'aria-hidden': 'true', focusable: 'false' })) {
    svg.setAttribute(key, value);
  }
  const path = document.createElementNS(SVG, 'path');
  const { fill, line } = ICONS[name];
  path.setAttribute('d', fill ?? line);
  const paint = fill
    ? { fill: 'currentColor' }
    : { fill: 'none', stroke: 'currentColor', 'stroke-width': '1.75', 'stroke-linecap': 'round', 'stroke-linejoin': 'round' };
  for (const [key, value] of Object.entries(paint)) path.setAttribute(key, value);
  svg.append(path);
  return svg;
}

/** Replaces what an element shows, leaving it alone when that is the same text already (a live region would speak again). */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
