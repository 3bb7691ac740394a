"""Checks playback tokens with nothing but Python's standard library.

    python3 verify.py accepted.json denied.json grants.json

`verify` is all that an embedder needs; the rest replays the vectors. It follows the format's description, not the Rust.
"""
import hashlib
import hmac
import ipaddress
import json
import re
import sys

USES = {"playback": 0x11, "bootstrap": 0x12}
BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
FOREVER = 0xFFFFFFFF


class Denied(Exception):
    pass


def deny_if(wrong, reason):
    if wrong:
        raise Denied(reason)


def mac(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


def kid_of(label):
    return hashlib.sha256(b"rend-token/rt1/kid\0" + label.encode()).digest()[:4]


def derive(secret, label, use):
    extracted = mac(b"rend-token/rt1/extract", secret)
    return mac(extracted, b"rend-token/rt1/mac\0" + bytes([use, 0]) + label.encode() + b"\x01")


def asset_of(text):
    """(is opaque, sixteen bytes)"""
    if UUID.match(text):
        return False, bytes.fromhex(text.replace("-", ""))
    return True, hashlib.sha256(b"rend-token/rt1/asset\0" + text.encode()).digest()[:16]


def origin_of(text):
    return hashlib.sha256(b"rend-token/rt1/origin\0" + text.encode()).digest()[:8]


def unbase64(text):
    """Exactly one text for every byte string, or None."""
    if len(text) % 4 == 1:
        return None
    bits = 0
    for char in text:
        value = BASE64URL.find(chr(char))
        if value < 0:
            return None
        bits = bits << 6 | value
    spare = len(text) * 6 % 8
    if bits & ((1 << spare) - 1):
        return None
    return (bits >> spare).to_bytes(len(text) * 6 // 8, "big")


def to_base64(data):
    spare = -len(data) * 8 % 6
    bits = int.from_bytes(data, "big") << spare
    count = (len(data) * 8 + spare) // 6
    return "".join(BASE64URL[bits >> 6 * (count - 1 - at) & 63] for at in range(count))


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        deny_if(self.at + count > len(self.data), "malformed")
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, count):
        return int.from_bytes(self.take(count), "big")


def good_prefix(prefix):
    return prefix[-1:] == b"/" and all(
        re.fullmatch(rb"[A-Za-z0-9_.~-]+", part) and part not in (b".", b"..") for part in prefix[:-1].split(b"/"))


def decode(payload):
    read, claims = Reader(payload), {}
    read.number(1)
    flags, scope = read.number(2), read.number(2)
    read.take(4)
    claims.update(issued_at=read.number(4), ttl=read.number(3), asset=(bool(flags & 1), read.take(16)))
    claims.update(classes=scope & 0xFFF, rung=None if scope >> 12 == 15 else scope >> 12)
    deny_if(flags >> 10 or not claims["classes"] or not claims["ttl"], "malformed")
    deny_if(claims["issued_at"] + claims["ttl"] > FOREVER, "malformed")
    has = lambda bit: flags >> bit & 1
    claims["org"] = read.take(16) if has(1) else None
    claims["session"] = read.take(7) if has(2) else None
    claims["start"] = read.number(3) if has(3) else 0
    deny_if(has(3) and not 0 < claims["start"] < claims["ttl"], "malformed")
    claims["audience"] = read.number(2) if has(4) else None
    deny_if(claims["audience"] == 0, "malformed")
    claims["renewal"] = (read.number(2), read.number(3)) if has(5) else None
    if has(5):
        step, horizon = claims["renewal"]
        deny_if(step == 0 or horizon < claims["ttl"] or claims["issued_at"] + horizon > FOREVER, "malformed")
    claims["network"] = None
    if has(6):
        shape = read.number(1)
        bits, length = (64, 8) if shape & 0x80 else (32, 4)
        count, value = shape & 0x7F, read.number(length)
        deny_if(count > bits or value & ((1 << bits - count) - 1), "malformed")
        claims["network"] = (bits, count, value)
    claims["countries"] = None
    if has(7):
        count = read.number(1)
        deny_if(not 1 <= count <= 8, "malformed")
        codes = [read.take(2) for _ in range(count)]
        deny_if(codes != sorted(set(codes)) or not all(re.fullmatch(rb"[A-Z]{2}", code) for code in codes), "malformed")
        claims["countries"] = [code.decode() for code in codes]
    claims["origin"] = read.take(8) if has(8) else None
    claims["prefix"] = b""
    if has(9):
        count = read.number(1)
        deny_if(not 1 <= count <= 64, "malformed")
        claims["prefix"] = read.take(count)
        deny_if(not good_prefix(claims["prefix"]), "malformed")
    deny_if(read.at != len(payload), "malformed")
    return claims


def network_has(network, text):
    if text is None:
        return False
    address = ipaddress.ip_address(text)
    address = getattr(address, "ipv4_mapped", None) or address
    bits, count, value = network
    if (bits == 32) != (address.version == 4):
        return False
    number = int(address) if bits == 32 else int(address) >> 64
    return number >> (bits - count) == value >> (bits - count)


def verify(token, request, keys):
    """The claims of `token` (bytes) if it opens `request` (a dict as in the vectors); else raises Denied."""
    deny_if(not token, "missing")
    deny_if(len(token) > 244, "too_long")
    deny_if(not token.startswith(b"rt1."), "encoding")
    data = unbase64(token[4:])
    deny_if(data is None, "encoding")
    use = USES[request["use"]]
    deny_if(data[:1] != bytes([use]), "suite")
    deny_if(len(data) < 48, "malformed")
    payload, tag = data[:-16], data[-16:]
    key = keys.get(payload[5:9])
    deny_if(key is None, "unknown_key")
    deny_if(key["revoked"], "revoked_key")
    now, until = request["now"], key["verify_until"]
    deny_if(now < key["verify_from"] or now >= until != FOREVER, "key_window")
    secret = bytes.fromhex(key["secret_hex"])
    deny_if(not hmac.compare_digest(mac(derive(secret, key["label"], use), payload)[:16], tag), "bad_mac")
    claims = decode(payload)
    expires = claims["issued_at"] + claims["ttl"]
    deny_if(now < claims["issued_at"] + claims["start"] - 30, "not_yet")
    deny_if(now >= expires, "expired")
    deny_if(claims["ttl"] > min(request["ttl_secs_max"], 120 if use == 0x12 else FOREVER), "ttl_policy")
    deny_if(claims["asset"] != asset_of(request["asset"]), "asset")
    deny_if(not claims["classes"] >> request["class"] & 1 or (use == 0x12 and request["class"] != 0), "class")
    rung = request["rung"]
    deny_if(rung is not None and claims["rung"] is not None and rung > claims["rung"], "rung")
    deny_if(not request["path"].encode().startswith(claims["prefix"]), "prefix")
    deny_if(claims["audience"] and request["audience"] != claims["audience"], "audience")
    deny_if(claims["network"] and not network_has(claims["network"], request["address"]), "ip")
    deny_if(claims["countries"] and request["country"] not in claims["countries"], "geo")
    origin = request["origin"]
    deny_if(claims["origin"] and (origin is None or origin_of(origin) != claims["origin"]), "origin")
    deny_if(claims["issued_at"] < key["issued_at_min"], "revoked_key")
    deny_if(claims["issued_at"] < request["asset_cutoff"], "revoked_asset")
    deny_if(claims["org"] == request["org"] and claims["issued_at"] < request["org_cutoff"], "revoked_org")
    ended = request["ended_session"]
    deny_if(ended is not None and claims["session"] == bytes.fromhex(ended), "revoked_session")
    return claims


def sign(grant, key):
    """The token of a grant, in the words of grants.json."""
    use, flags, sections = USES[grant["use"]], int(grant["asset_is_opaque"]), b""

    def section(bit, data):
        nonlocal flags, sections
        flags |= 1 << bit
        sections += data

    if grant["org_hex"]:
        section(1, bytes.fromhex(grant["org_hex"]))
    if grant["session_hex"]:
        section(2, bytes.fromhex(grant["session_hex"]))
    if grant["start_secs"]:
        section(3, grant["start_secs"].to_bytes(3, "big"))
    if grant["audience"]:
        section(4, grant["audience"].to_bytes(2, "big"))
    if grant["deadline"]:
        horizon = grant["deadline"] - grant["issued_at"]
        section(5, grant["renewal_step_secs"].to_bytes(2, "big") + horizon.to_bytes(3, "big"))
    if grant["network"]:
        address, count = ipaddress.ip_address(grant["network"]["address"]), grant["network"]["prefix_len"]
        v6 = address.version == 6
        section(6, bytes([v6 << 7 | count]) + address.packed[:8])
    if grant["countries"]:
        codes = sorted(grant["countries"])
        section(7, bytes([len(codes)]) + "".join(codes).encode())
    if grant["origin"]:
        section(8, origin_of(grant["origin"]))
    if grant["path_prefix"]:
        section(9, bytes([len(grant["path_prefix"])]) + grant["path_prefix"].encode())
    rung = 15 if grant["rung_max"] is None else grant["rung_max"]
    payload = (bytes([use]) + flags.to_bytes(2, "big") + (rung << 12 | grant["classes"]).to_bytes(2, "big")
               + kid_of(key["label"]) + grant["issued_at"].to_bytes(4, "big") + grant["ttl_secs"].to_bytes(3, "big")
               + bytes.fromhex(grant["asset_hex"]) + sections)
    tag = mac(derive(bytes.fromhex(key["secret_hex"]), key["label"], use), payload)[:16]
    return "rt1." + to_base64(payload + tag)


def token_of(case):
    token = case["token"]
    if isinstance(token, str):
        return token.encode()
    return bytes.fromhex(token["hex"]) if "hex" in token else token["repeat"].encode() * token["count"]


def main(accepted, denied, grants):
    accepted, denied, grants = (json.load(open(path)) for path in (accepted, denied, grants))
    keys = {kid_of(key["label"]): key for key in denied["keys"]}
    default = dict(denied["default"], org=bytes.fromhex(denied["org"]))

    key = denied["keys"][0]
    assert key["secret_hex"] == accepted["secret_hex"] and kid_of(key["label"]).hex() == accepted["kid_hex"]
    for case in accepted["cases"]:
        request = dict(default, asset=case["asset"], now=case["now"], **{"class": case["class"]}, rung=case["rung_max"])
        if "origin" in case:
            request.update(origin=case["origin"], audience=7, address=case["network"], country="US")
        verify(case["token"].encode(), request, keys)
    for case in denied["cases"]:
        try:
            verify(token_of(case), dict(default, **{k: case[k] for k in case if k in default}), keys)
        except Denied as why:
            assert str(why) == case["reason"], f"{case['name']}: {why}, not {case['reason']}"
        else:
            raise AssertionError(f"{case['name']}: accepted")
    for grant in grants["grants"]:
        assert sign(grant, key) == grant["token"], grant
        data = unbase64(grant["token"][4:].encode())
        claims = decode(data[:-16])
        assert claims["ttl"] == grant["ttl_secs"] and claims["asset"][1].hex() == grant["asset_hex"]
    print(f"{len(accepted['cases'])} accepted, {len(denied['cases'])} denied, {len(grants['grants'])} grants")


if __name__ == "__main__":
    main(*sys.argv[1:])
