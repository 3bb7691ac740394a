// Checks playback tokens with Web Crypto alone: runs in a browser, a worker at a CDN, and Node.
// It follows the format's description, not the Rust.

const USES = { playback: 0x11, bootstrap: 0x12 };
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const FOREVER = 0xffffffff;
const encoder = new TextEncoder();

export class Denied extends Error {}

const denyIf = (wrong, reason) => {
  if (wrong) throw new Denied(reason);
};

export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
export const unhex = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));

const concat = (...parts) => {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
};

const numberBytes = (value, count) => {
  const out = new Uint8Array(count);
  for (let at = count - 1; at >= 0; at--, value = Math.floor(value / 256)) out[at] = value % 256;
  return out;
};

const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-256", concat(...parts)));

const macKey = (bytes) => crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);

const mac = async (key, message) => new Uint8Array(await crypto.subtle.sign("HMAC", key, message));

export const kidOf = async (label) => hex((await sha256(encoder.encode("rend-token/rt1/kid\0" + label))).slice(0, 4));

export const derive = async (secret, label, use) => {
  const extracted = await mac(await macKey(encoder.encode("rend-token/rt1/extract")), secret);
  const info = concat(encoder.encode("rend-token/rt1/mac\0"), [use, 0], encoder.encode(label), [1]);
  return macKey(await mac(await macKey(extracted), info));
};

const assetOf = async (text) =>
  UUID.test(text)
    ? "0" + text.replaceAll("-", "")
    : "1" + hex((await sha256(encoder.encode("rend-token/rt1/asset\0" + text))).slice(0, 16));

const originOf = async (text) => (await sha256(encoder.encode("rend-token/rt1/origin\0" + text))).slice(0, 8);

// Exactly one text for every byte string, or null.
export const unbase64 = (bytes) => {
  if (bytes.length % 4 === 1) return null;
  const out = new Uint8Array(Math.floor((bytes.length * 6) / 8));
  let bits = 0;
  let count = 0;
  let at = 0;
  for (const byte of bytes) {
    const value = byte < 128 ? ALPHABET.indexOf(String.fromCharCode(byte)) : -1;
    if (value < 0) return null;
    bits = ((bits << 6) | value) & 0xffff;
    count += 6;
    if (count >= 8) {
      count -= 8;
      out[at++] = bits >> count;
    }
  }
  return bits & ((1 << count) - 1) ? null : out;
};

export const toBase64 = (bytes) => {
  let out = "";
  for (let at = 0; at < bytes.length; at += 3) {
    const [a, b = 0, c = 0] = bytes.subarray(at, at + 3);
    const word = (a << 16) | (b << 8) | c;
    const chars = Math.min(bytes.length - at, 3) + 1;
    for (let char = 0; char < chars; char++) out += ALPHABET[(word >> (18 - 6 * char)) & 63];
  }
  return out;
};

const goodPrefix = (bytes) => {
  const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  const plain = (part) => /^[A-Za-z0-9_.~-]+$/.test(part) && part !== "." && part !== "..";
  return text.endsWith("/") && text.slice(0, -1).split("/").every(plain);
};

export const decode = (payload) => {
  let at = 0;
  const take = (count) => {
    denyIf(at + count > payload.length, "malformed");
    at += count;
    return payload.slice(at - count, at);
  };
  const number = (count) => take(count).reduce((sum, byte) => sum * 256 + byte, 0);
  take(1);
  const flags = number(2);
  const scope = number(2);
  take(4);
  const claims = { issuedAt: number(4), ttl: number(3), asset: (flags & 1) + hex(take(16)) };
  claims.classes = scope & 0xfff;
  claims.rung = scope >> 12 === 15 ? null : scope >> 12;
  denyIf(flags >> 10 || !claims.classes || !claims.ttl || claims.issuedAt + claims.ttl > FOREVER, "malformed");
  const has = (bit) => (flags >> bit) & 1;
  claims.org = has(1) ? hex(take(16)) : null;
  claims.session = has(2) ? hex(take(7)) : null;
  claims.start = has(3) ? number(3) : 0;
  denyIf(has(3) && (claims.start === 0 || claims.start >= claims.ttl), "malformed");
  claims.audience = has(4) ? number(2) : null;
  denyIf(claims.audience === 0, "malformed");
  if (has(5)) {
    const [step, horizon] = [number(2), number(3)];
    denyIf(step === 0 || horizon < claims.ttl || claims.issuedAt + horizon > FOREVER, "malformed");
    claims.renewal = { step, horizon };
  }
  if (has(6)) {
    const [shape] = take(1);
    const v6 = shape >= 0x80;
    const [count, bytes] = [shape & 0x7f, take(v6 ? 8 : 4)];
    denyIf(count > bytes.length * 8 || !sameBits(bytes, masked(bytes, count), bytes.length * 8), "malformed");
    claims.network = { v6, count, bytes };
  }
  if (has(7)) {
    const [count] = take(1);
    denyIf(count < 1 || count > 8, "malformed");
    const codes = Array.from({ length: count }, () => String.fromCharCode(...take(2)));
    const ascending = codes.every((code, place) => place === 0 || codes[place - 1] < code);
    denyIf(!ascending || !codes.every((code) => /^[A-Z]{2}$/.test(code)), "malformed");
    claims.countries = codes;
  }
  claims.origin = has(8) ? hex(take(8)) : null;
  claims.prefix = "";
  if (has(9)) {
    const [count] = take(1);
    denyIf(count < 1 || count > 64, "malformed");
    const prefix = take(count);
    denyIf(!goodPrefix(prefix), "malformed");
    claims.prefix = new TextDecoder().decode(prefix);
  }
  denyIf(at !== payload.length, "malformed");
  return claims;
};

const masked = (bytes, count) =>
  bytes.map((byte, at) => byte & (0xff00 >> Math.min(8, Math.max(0, count - at * 8))) & 0xff);
const sameBits = (a, b, count) => hex(masked(a, count)) === hex(masked(b, count));

// Four or sixteen bytes of an address; one mapped into IPv6 counts as IPv4.
export const addressBytes = (text) => {
  const dotted = /^(?:::ffff:)?(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  if (dotted) return Uint8Array.from(dotted.slice(1), Number);
  const [front, back] = text.split("::");
  const words = (part) => (part ? part.split(":").map((word) => parseInt(word, 16)) : []);
  const [head, tail] = [words(front), words(back)];
  const all = back === undefined ? head : [...head, ...Array(8 - head.length - tail.length).fill(0), ...tail];
  return Uint8Array.from(all.flatMap((word) => [word >> 8, word & 0xff]));
};

const inNetwork = ({ v6, count, bytes }, text) => {
  if (text === null) return false;
  const address = addressBytes(text);
  return (address.length === 16) === v6 && sameBits(address.slice(0, bytes.length), bytes, count);
};

const equalInConstantTime = (a, b) => a.length === b.length && a.reduce((sum, byte, at) => sum | (byte ^ b[at]), 0) === 0;

// The claims of `token` (bytes) if it opens `request` (an object as in the vectors); else throws Denied.
// `keys` maps a kid in hexadecimal to a key as in the vectors.
export const verify = async (token, request, keys) => {
  denyIf(token.length === 0, "missing");
  denyIf(token.length > 244, "too_long");
  denyIf(hex(token.slice(0, 4)) !== "7274312e", "encoding");
  const data = unbase64(token.slice(4));
  denyIf(data === null, "encoding");
  const use = USES[request.use];
  denyIf(data[0] !== use, "suite");
  denyIf(data.length < 48, "malformed");
  const [payload, tag] = [data.slice(0, -16), data.slice(-16)];
  const key = keys.get(hex(payload.slice(5, 9)));
  denyIf(key === undefined, "unknown_key");
  denyIf(key.revoked, "revoked_key");
  const { now } = request;
  denyIf(now < key.verify_from || (now >= key.verify_until && key.verify_until !== FOREVER), "key_window");
  const derived = await derive(unhex(key.secret_hex), key.label, use);
  denyIf(!equalInConstantTime((await mac(derived, payload)).slice(0, 16), tag), "bad_mac");
  const claims = decode(payload);
  denyIf(now < claims.issuedAt + claims.start - 30, "not_yet");
  denyIf(now >= claims.issuedAt + claims.ttl, "expired");
  denyIf(claims.ttl > Math.min(request.ttl_secs_max, use === 0x12 ? 120 : FOREVER), "ttl_policy");
  denyIf(claims.asset !== (await assetOf(request.asset)), "asset");
  denyIf(!((claims.classes >> request.class) & 1) || (use === 0x12 && request.class !== 0), "class");
  denyIf(request.rung !== null && claims.rung !== null && request.rung > claims.rung, "rung");
  denyIf(!request.path.startsWith(claims.prefix), "prefix");
  denyIf(claims.audience !== null && request.audience !== claims.audience, "audience");
  denyIf(claims.network && !inNetwork(claims.network, request.address), "ip");
  denyIf(claims.countries && !claims.countries.includes(request.country), "geo");
  const origin = request.origin === null ? null : hex(await originOf(request.origin));
  denyIf(claims.origin !== null && claims.origin !== origin, "origin");
  denyIf(claims.issuedAt < key.issued_at_min, "revoked_key");
  denyIf(claims.issuedAt < request.asset_cutoff, "revoked_asset");
  denyIf(claims.org === request.org && claims.issuedAt < request.org_cutoff, "revoked_org");
  denyIf(claims.session !== null && claims.session === request.ended_session, "revoked_session");
  return claims;
};

// The token of a grant, in the words of grants.json.
export const sign = async (grant, key) => {
  const use = USES[grant.use];
  let flags = grant.asset_is_opaque ? 1 : 0;
  const sections = [];
  const section = (bit, ...data) => {
    flags |= 1 << bit;
    sections.push(...data);
  };
  if (grant.org_hex) section(1, unhex(grant.org_hex));
  if (grant.session_hex) section(2, unhex(grant.session_hex));
  if (grant.start_secs) section(3, numberBytes(grant.start_secs, 3));
  if (grant.audience) section(4, numberBytes(grant.audience, 2));
  if (grant.deadline) {
    section(5, numberBytes(grant.renewal_step_secs, 2), numberBytes(grant.deadline - grant.issued_at, 3));
  }
  if (grant.network) {
    const address = addressBytes(grant.network.address);
    section(6, [(address.length === 16 ? 0x80 : 0) | grant.network.prefix_len], address.slice(0, 8));
  }
  if (grant.countries.length) {
    const codes = [...grant.countries].sort();
    section(7, [codes.length], encoder.encode(codes.join("")));
  }
  if (grant.origin) section(8, await originOf(grant.origin));
  if (grant.path_prefix) section(9, [grant.path_prefix.length], encoder.encode(grant.path_prefix));
  const payload = concat(
    [use],
    numberBytes(flags, 2),
    numberBytes((grant.rung_max ?? 15) * 4096 + grant.classes, 2),
    unhex(await kidOf(key.label)),
    numberBytes(grant.issued_at, 4),
    numberBytes(grant.ttl_secs, 3),
    unhex(grant.asset_hex),
    ...sections,
  );
  const derived = await derive(unhex(key.secret_hex), key.label, use);
  return "rt1." + toBase64(concat(payload, (await mac(derived, payload)).slice(0, 16)));
};
