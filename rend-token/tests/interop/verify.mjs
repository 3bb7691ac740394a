// Replays the vectors: node verify.mjs accepted.json denied.json grants.json
import { readFileSync } from "node:fs";
import { Denied, decode, hex, kidOf, sign, unbase64, unhex, verify } from "./rt1.mjs";

const [accepted, denied, grants] = process.argv.slice(2).map((path) => JSON.parse(readFileSync(path, "utf8")));
const keys = new Map();
for (const key of denied.keys) keys.set(await kidOf(key.label), key);
const defaults = { ...denied.default, org: denied.org };
const encoder = new TextEncoder();

const check = (good, what) => {
  if (!good) throw new Error(what);
};

const tokenOf = ({ token }) => {
  if (typeof token === "string") return encoder.encode(token);
  return token.hex === undefined ? encoder.encode(token.repeat.repeat(token.count)) : unhex(token.hex);
};

const [key] = denied.keys;
check(key.secret_hex === accepted.secret_hex && (await kidOf(key.label)) === accepted.kid_hex, "the first key");
for (const { asset, now, class: kind, rung_max: rung, token, origin, network } of accepted.cases) {
  const request = { ...defaults, asset, now, class: kind, rung };
  if (origin) Object.assign(request, { origin, audience: 7, address: network, country: "US" });
  await verify(encoder.encode(token), request, keys);
}
for (const one of denied.cases) {
  const own = Object.fromEntries(Object.entries(one).filter(([field]) => field in defaults));
  const said = await verify(tokenOf(one), { ...defaults, ...own }, keys).then(
    () => "accepted",
    (why) => {
      if (why instanceof Denied) return why.message;
      throw why;
    },
  );
  check(said === one.reason, `${one.name}: ${said}, not ${one.reason}`);
}
for (const grant of grants.grants) {
  check((await sign(grant, key)) === grant.token, JSON.stringify(grant));
  const claims = decode(unbase64(encoder.encode(grant.token.slice(4))).slice(0, -16));
  check(claims.ttl === grant.ttl_secs && claims.asset.slice(1) === grant.asset_hex, hex(encoder.encode(grant.token)));
}
console.log(`${accepted.cases.length} accepted, ${denied.cases.length} denied, ${grants.grants.length} grants`);
