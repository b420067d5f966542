// Deterministic CBOR (RFC 8949 section 4.2.1), the subset that the wire uses; the same rules as device_client/core/cbor.py.
//
// Integers are BigInt (they reach 64 bits), byte strings Uint8Array, text String, arrays Array, maps CborMap: pairs in
// the order of the bytes. What `decode` accepts, `encode` writes again byte for byte.

const DEPTH_MAX = 8;
const INTEGER_END = 1n << 64n;
const SHORTEST = { 24: 24n, 25: 0x100n, 26: 0x10000n, 27: 0x100000000n };

/** The bytes are not the deterministic encoding of anything that the wire knows. */
export class Malformed extends Error {}

/** Pairs [key, value] in the order in which they are encoded. */
export class CborMap {
  constructor(pairs) {
    this.pairs = pairs;
  }
}

export function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Below, above or equal (0) in bytewise order. */
export function compare(one, other) {
  const size = Math.min(one.length, other.length);
  for (let at = 0; at < size; at += 1) if (one[at] !== other[at]) return one[at] - other[at];
  return one.length - other.length;
}

export function same(one, other) {
  return one instanceof Uint8Array && other instanceof Uint8Array && compare(one, other) === 0;
}

/** Initial byte and argument in the shortest form. */
export function head(major, argument) {
  const value = BigInt(argument);
  const first = major << 5;
  if (value < 0n || value >= INTEGER_END) throw new Malformed("integer beyond 64 bits");
  if (value < 24n) return Uint8Array.of(first | Number(value));
  const info = value < 0x100n ? 24 : value < 0x10000n ? 25 : value < 0x100000000n ? 26 : 27;
  const bytes = new Uint8Array(1 + (1 << (info - 24)));
  bytes[0] = first | info;
  let rest = value;
  for (let at = bytes.length - 1; at > 0; at -= 1) {
    bytes[at] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return bytes;
}

/** One data item. Throws Malformed for a type or size that the wire does not have. */
export function encode(value) {
  if (typeof value === "number" && Number.isSafeInteger(value)) return encode(BigInt(value));
  if (typeof value === "bigint") return value >= 0n ? head(0, value) : head(1, -1n - value);
  if (value instanceof Uint8Array) return concat(head(2, value.length), value);
  if (typeof value === "string") {
    if (!value.isWellFormed()) throw new Malformed("text that is no Unicode");
    const raw = new TextEncoder().encode(value);
    return concat(head(3, raw.length), raw);
  }
  if (Array.isArray(value)) return concat(head(4, value.length), ...value.map(encode));
  if (value instanceof CborMap) {
    return concat(head(5, value.pairs.length), ...value.pairs.flat().map(encode));
  }
  throw new Malformed("no encoding for this type");
}

/** The one item that `data` is. Throws Malformed for anything that `encode` would not have written. */
export function decode(data) {
  const [value, end] = decodeItem(data, 0, 0);
  if (end !== data.length) throw new Malformed("trailing bytes");
  return value;
}

/** [item that begins at offset `at`, offset behind it]. */
export function decodeItem(data, start, depth) {
  if (depth > DEPTH_MAX) throw new Malformed("nested too deep");
  const [major, argument, at] = decodeHead(data, start);
  if (major === 0) return [argument, at];
  if (major === 1) return [-1n - argument, at];
  // Each byte or element takes a byte at least: a length beyond the data needs no memory to be refused.
  if (argument > BigInt(data.length - at)) throw new Malformed("truncated");
  const size = Number(argument);
  if (major === 2) return [data.slice(at, at + size), at + size];
  if (major === 3) return [text(data.subarray(at, at + size)), at + size];
  if (major === 4) return decodeArray(data, at, size, depth);
  if (major === 5) return decodeMap(data, at, size, depth);
  throw new Malformed("tag or simple value");
}

function decodeHead(data, start) {
  if (start >= data.length) throw new Malformed("truncated");
  const major = data[start] >> 5;
  const info = data[start] & 31;
  if (info < 24) return [major, BigInt(info), start + 1];
  if (info > 27) throw new Malformed("indefinite or reserved length");
  const end = start + 1 + (1 << (info - 24));
  if (end > data.length) throw new Malformed("truncated");
  let argument = 0n;
  for (let at = start + 1; at < end; at += 1) argument = (argument << 8n) | BigInt(data[at]);
  if (argument < SHORTEST[info]) throw new Malformed("not the shortest form");
  return [major, argument, end];
}

function decodeArray(data, start, count, depth) {
  const items = [];
  let at = start;
  for (let index = 0; index < count; index += 1) {
    const [item, end] = decodeItem(data, at, depth + 1);
    items.push(item);
    at = end;
  }
  return [items, at];
}

function decodeMap(data, start, count, depth) {
  const pairs = [];
  let at = start;
  let last = new Uint8Array(0);
  for (let index = 0; index < count; index += 1) {
    const [key, behind] = decodeItem(data, at, depth + 1);
    const raw = data.subarray(at, behind);
    if (compare(raw, last) <= 0) throw new Malformed("map keys out of order");
    last = raw;
    const [value, end] = decodeItem(data, behind, depth + 1);
    pairs.push([key, value]);
    at = end;
  }
  return [new CborMap(pairs), at];
}

function text(raw) {
  try {
    // A byte order mark is text like any other here; left to itself the decoder would swallow it.
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(raw);
  } catch {
    throw new Malformed("not UTF-8");
  }
}

export function isUint(value, maximum) {
  return typeof value === "bigint" && value >= 0n && value <= BigInt(maximum);
}

export function isBytes(value, size) {
  return value instanceof Uint8Array && (size === undefined || value.length === size);
}
