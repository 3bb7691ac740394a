// How Rend writes numbers. Pure: each function takes a value and answers with text.

/** Between a number and its unit: a line never breaks there. */
const GAP = '\u00a0';
const BYTE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** Bytes in decimal units, three digits at most: 999 B, 1.2 kB, 34 MB. An unknown amount is a dash. */
export function bytes(amount) {
  if (!Number.isFinite(amount) || amount < 0) return '–';
  let unit = 0;
  let value = amount;
  // 999.5 of a unit would print as 1000 of it, so it already belongs to the next one.
  while (value >= 999.5 && unit < BYTE_UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit > 0 && value < 9.95 ? 1 : 0;
  return `${value.toFixed(digits)}${GAP}${BYTE_UNITS[unit]}`;
}

/** Bytes per second. */
export function rate(bytesPerSecond) {
  return Number.isFinite(bytesPerSecond) && bytesPerSecond > 0 ? `${bytes(bytesPerSecond)}/s` : '–';
}

/** Bits per second, as renditions are named: 640 kb/s, 2.8 Mb/s. */
export function bitrate(bitsPerSecond) {
  if (!(bitsPerSecond > 0)) return '–';
  return bitsPerSecond < 999_500 ? `${Math.round(bitsPerSecond / 1000)}${GAP}kb/s` : `${(bitsPerSecond / 1e6).toFixed(1)}${GAP}Mb/s`;
}

/** A place on a timeline: 0:07, 12:34, 1:02:03. */
export function clock(seconds) {
  if (!Number.isFinite(seconds) || seconds < 0) return '0:00';
  const whole = Math.floor(seconds);
  const s = String(whole % 60).padStart(2, '0');
  const m = Math.floor(whole / 60) % 60;
  const h = Math.floor(whole / 3600);
  return h > 0 ? `${h}:${String(m).padStart(2, '0')}:${s}` : `${m}:${s}`;
}

/** The same place for a screen reader: "1 minute 2 seconds". */
export function spoken(seconds) {
  const whole = Number.isFinite(seconds) && seconds > 0 ? Math.floor(seconds) : 0;
  const parts = [
    [Math.floor(whole / 3600), 'hour'],
    [Math.floor(whole / 60) % 60, 'minute'],
    [whole % 60, 'second'],
  ].filter(([n]) => n > 0);
  if (parts.length === 0) return '0 seconds';
  return parts.map(([n, word]) => `${n} ${word}${n === 1 ? '' : 's'}`).join(' ');
}

/** A length of time in its two largest units: 0.3 ms, 640 ms, 4.2 s, 3 min 20 s, 2 h 5 min. */
export function span(milliseconds) {
  if (!Number.isFinite(milliseconds) || milliseconds < 0) return '–';
  if (milliseconds < 9.95 && !Number.isInteger(milliseconds)) return `${milliseconds.toFixed(1)}${GAP}ms`;
  if (milliseconds < 1000) return `${Math.round(milliseconds)}${GAP}ms`;
  if (milliseconds < 9950) return `${(milliseconds / 1000).toFixed(1)}${GAP}s`;
  const whole = Math.round(milliseconds / 1000);
  if (whole < 60) return `${whole}${GAP}s`;
  if (whole < 3600) return joined(Math.floor(whole / 60), 'min', whole % 60, 's');
  if (whole < 86400) return joined(Math.floor(whole / 3600), 'h', Math.floor(whole / 60) % 60, 'min');
  return joined(Math.floor(whole / 86400), 'd', Math.floor(whole / 3600) % 24, 'h');
}

/** How long ago: "just now", "12 s ago", "3 h ago", "5 d ago". */
export function ago(milliseconds) {
  if (!Number.isFinite(milliseconds)) return '–';
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < 5) return 'just now';
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

/** A share as a whole per cent; it says 100 % only when nothing is missing and 0 % only when nothing is there. */
export function percent(part, whole) {
  if (!(whole > 0) || !(part >= 0)) return `0${GAP}%`;
  if (part >= whole) return `100${GAP}%`;
  if (part === 0) return `0${GAP}%`;
  return `${Math.min(99, Math.max(1, Math.round((part / whole) * 100)))}${GAP}%`;
}

/** A count with thin grouping: 1 234 567. */
export function count(amount) {
  if (!Number.isFinite(amount)) return '–';
  return String(Math.round(amount)).replace(/\B(?=(\d{3})+$)/g, '\u202f');
}

/** `one` or `many` after a count: "1 edge", "3 edges". */
export function plural(amount, one, many = `${one}s`) {
  return `${count(amount)} ${amount === 1 ? one : many}`;
}

function joined(large, largeUnit, small, smallUnit) {
  return small > 0 ? `${large}${GAP}${largeUnit} ${small}${GAP}${smallUnit}` : `${large}${GAP}${largeUnit}`;
}
