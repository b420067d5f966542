// What devices, coordinator and root said, taken apart with every type and range checked; device_client/core/received.py and
// light.py, and coordinator/engine/header.py, say the same. Everything throws Malformed.
import { CborMap, Malformed, decode, isBytes, isUint } from "./cbor.js";

export const KIND_ENROLL = 1n;
export const KIND_REPORT = 2n;
const CLAIMS = [10n, 261n, 267n, -65537n];
const U32_MAX = 0xffffffffn;
const U64_MAX = (1n << 64n) - 1n;
const I64_MAX = (1n << 63n) - 1n;
export const MISSING = -I64_MAX - 1n;
const MESSAGE_BYTES_MAX = 1024;
const SHEET_BYTES_MAX = 1024;
const KEYS_BYTES_MAX = 4096;

function refuseUnless(holds, what) {
  if (!holds) throw new Malformed(what);
}

function items(value, least, most, what) {
  refuseUnless(Array.isArray(value) && value.length >= least && value.length <= most, what);
  return value;
}

// STATEMENTS

/** {nonce, uptimeS, boot, kind, seq, prev, body}, the body not looked at. */
export function statement(payload) {
  const claims = decode(payload);
  refuseUnless(claims instanceof CborMap && claims.pairs.length === CLAIMS.length, "claims");
  refuseUnless(claims.pairs.every(([key], at) => key === CLAIMS[at]), "claims");
  const [nonce, uptimeS, boot, said] = claims.pairs.map(([, value]) => value);
  const [kind, seq, prev, body] = items(said, 4, 4, "private claim");
  refuseUnless(isBytes(nonce, 16), "eat_nonce");
  refuseUnless(isUint(uptimeS, U32_MAX) && isUint(boot, U32_MAX) && isUint(kind, 255), "uptime, bootcount or kind");
  refuseUnless(isUint(seq, U32_MAX) && seq > 0n && boot > 0n, "seq and bootcount count from 1");
  refuseUnless(isBytes(prev, seq === 1n ? 0 : 16), "prev");
  refuseUnless(Array.isArray(body), "body");
  return { nonce, uptimeS, boot, kind, seq, prev, body };
}

/** The body of a kind that this version knows. */
export function checkedBody(said) {
  if (said.kind === KIND_ENROLL) return enroll(said.body);
  if (said.kind === KIND_REPORT) return report(said.body);
  throw new Malformed("a kind that this version does not know");
}

function enroll(body) {
  const [publicKey, tokenKey, tokenSignature, intervalS, open, place, channels] = items(body, 7, 7, "enroll body");
  refuseUnless(isBytes(publicKey, 32) && isBytes(tokenKey, 32) && isBytes(tokenSignature, 64), "enroll keys");
  refuseUnless(isUint(intervalS, U32_MAX) && intervalS > 0n, "interval_s");
  refuseUnless(isUint(open, 1) && isUint(place, I64_MAX), "readings_public or place");
  for (const channel of items(channels, 0, 16, "channels")) {
    const [name, unit, exponent] = items(channel, 3, 3, "channel");
    refuseUnless(typeof name === "string" && /^[a-z0-9_]{1,24}$/.test(name), "channel name");
    const isUnit = typeof unit === "string" && [...unit].length <= 8 && new TextEncoder().encode(unit).length <= 12;
    refuseUnless(isUnit, "channel unit");
    refuseUnless(typeof exponent === "bigint" && exponent >= -12n && exponent <= 12n, "channel exponent");
  }
  return body;
}

function report(body) {
  items(body, 2, 3, "report body");
  refuseUnless(isUint(body[0], 0) && isBytes(body[1], 32), "profile or commitment");
  let before = -1n;
  for (const pair of body.length === 3 ? items(body[2], 1, 8, "notices") : []) {
    const [code, value] = items(pair, 2, 2, "notice");
    refuseUnless(isUint(code, 63) && isUint(value, U32_MAX) && code > before, "notice");
    before = code;
  }
  return body;
}

/** [envelope, salt, readings] of a message; the last two are empty where it has none. */
export function message(data) {
  refuseUnless(data.length <= MESSAGE_BYTES_MAX, "too large");
  const parts = items(decode(data), 1, 3, "message");
  refuseUnless(parts.length !== 2 && parts.every((part) => isBytes(part)), "message");
  if (parts.length === 1) return [parts[0], new Uint8Array(0), new Uint8Array(0)];
  refuseUnless(parts[1].length === 16, "salt");
  return parts;
}

/** Reading sets, each [dt_ms, a value or MISSING for each channel]; `channels` undefined for as many as there are. */
export function readings(data, channels) {
  const sets = items(decode(data), 0, 64, "readings");
  const width = channels === undefined ? sets[0]?.length : channels + 1;
  for (const row of sets) {
    items(row, width, width, "reading set");
    refuseUnless(row.length > 0 && row[0] !== MISSING, "reading without a time");
    refuseUnless(row.every((one) => typeof one === "bigint" && one >= MISSING && one <= I64_MAX), "reading");
  }
  return sets;
}

// COORDINATOR AND ROOT

/** {serial, role, publicKey, fromBeacon}: role 1 is the coordinator, 2 the firmware. */
export function certificate(payload) {
  const [kind, serial, body] = items(decode(payload), 3, 3, "certificate");
  refuseUnless(kind === 1n && isUint(serial, U32_MAX), "certificate");
  const [role, publicKey, fromBeacon] = items(body, 3, 3, "certificate");
  refuseUnless((role === 1n || role === 2n) && isBytes(publicKey, 32) && isUint(fromBeacon, U64_MAX), "certificate");
  return { serial, role, publicKey, fromBeacon };
}

/** The certificates' envelopes of a `keys` message. */
export function certificates(data) {
  refuseUnless(data.length <= KEYS_BYTES_MAX, "keys too large");
  const parts = items(decode(data), 1, 16, "certificates");
  refuseUnless(parts.every((part) => isBytes(part)), "certificates");
  return parts;
}

/** {incarnation, slot, rows: [[device, boot, seq, id8, code], ...]}. */
export function sheet(payload) {
  const [incarnation, slot, rows] = items(decode(payload), 3, 3, "sheet");
  refuseUnless(payload.length <= SHEET_BYTES_MAX && isUint(incarnation, U32_MAX) && isUint(slot, U64_MAX), "sheet");
  for (const row of items(rows, 1, 32, "sheet")) {
    const [device, boot, seq, id8, code] = items(row, 5, 5, "row");
    const counts = isUint(boot, U32_MAX) && isUint(seq, U32_MAX) && isUint(code, 255);
    refuseUnless(isBytes(device, 16) && isBytes(id8, 8) && counts, "row");
  }
  return { incarnation, slot, rows };
}

/** {number, firstSlot, lastSlot, statements, statementsRoot, payoutsRoot, files: [[name, size, SHA-256], ...]}. */
export function header(payload) {
  const fields = items(decode(payload), 13, 13, "header");
  const [number, previous, incarnation, firstSlot, lastSlot, beacon, rules, parameters, statements] = fields;
  const [statementsRoot, payoutsRoot, files, deltas] = fields.slice(9);
  const counts = [number, incarnation, firstSlot, lastSlot, rules, statements];
  refuseUnless(counts.every((one) => isUint(one, U64_MAX)), "header field");
  const hashes = [previous, beacon, parameters, statementsRoot, payoutsRoot];
  refuseUnless(hashes.every((one) => isBytes(one, 32)), "header field");
  for (const file of items(files, 0, Infinity, "header table")) {
    const [name, size, digest] = items(file, 3, 3, "header table");
    refuseUnless(typeof name === "string" && isUint(size, U64_MAX) && isBytes(digest), "header table");
  }
  for (const delta of items(deltas, 0, Infinity, "header table")) {
    const [name, digest] = items(delta, 2, 2, "header table");
    refuseUnless(typeof name === "string" && isBytes(digest), "header table");
  }
  return { number, incarnation, firstSlot, lastSlot, statements, statementsRoot, payoutsRoot, files };
}

/** {name, rootKey, parameters: Map, salt} of genesis.cbor. */
export function genesis(data) {
  const [name, rootKey, listed, salt] = items(decode(data), 4, 4, "genesis");
  refuseUnless(typeof name === "string" && isBytes(rootKey, 32) && isBytes(salt, 16), "genesis");
  const parameters = new Map();
  for (const row of items(listed, 0, Infinity, "genesis parameters")) {
    const [key, value] = items(row, 2, 2, "genesis parameters");
    refuseUnless(typeof key === "string" && !parameters.has(key), "genesis parameters");
    parameters.set(key, value);
  }
  return { name, rootKey, parameters, salt };
}
