// The signed bytes of the wire in a browser: envelopes, tree paths, checkpoints (docs/reference/wire.md and folder.md).
export * from "./cbor.js";
export * from "./ed25519.js";
import { Malformed, concat, decodeItem, head, same } from "./cbor.js";
import { sha256, verify } from "./ed25519.js";

const KID_BYTES = 16;
const TAG = Uint8Array.of(0xd2, 0x84);
const PROTECTED_HEAD = Uint8Array.of(0xa2, 0x01, 0x27, 0x04, 0x50); // {1: -8 (EdDSA), 4: bstr of 16}
const PROTECTED_BYTES = PROTECTED_HEAD.length + KID_BYTES;
const SIGNATURE1 = concat(Uint8Array.of(0x84, 0x6a), ascii("Signature1"));
const PATH_HASHES_MAX = 64;
const NOTE_BYTES_MAX = 1024;

/** Well formed, but it does not prove what it should; the text says where the chain breaks. */
export class Wrong extends Error {}

export function ascii(value) {
  return new TextEncoder().encode(value);
}

export function hex(bytes) {
  return Array.from(bytes, (one) => one.toString(16).padStart(2, "0")).join("");
}

/** Throws Malformed for what is not lower-case hexadecimal. */
export function unhex(value) {
  if (typeof value !== "string" || !/^(?:[0-9a-f]{2})*$/.test(value)) throw new Malformed("not hexadecimal");
  return Uint8Array.from(value.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

export function base64(bytes) {
  return btoa(String.fromCharCode(...bytes));
}

/** Throws Malformed for anything but the one way to write the bytes. */
export function unbase64(value) {
  let bytes;
  try {
    bytes = Uint8Array.from(atob(value), (one) => one.charCodeAt(0));
  } catch {
    throw new Malformed("not Base64");
  }
  if (base64(bytes) !== value) throw new Malformed("not Base64");
  return bytes;
}

// ENVELOPES (COSE_Sign1, RFC 9052 section 4.2)

/** Id of a device, account or coordinator: the first 16 bytes of SHA-256 of its first public key. */
export async function signerId(publicKey) {
  return (await sha256(publicKey)).slice(0, KID_BYTES);
}

export function externalAad(type, genesis) {
  return ascii(`edgetally/1/${type}/${hex(genesis)}`);
}

/** Sig_structure: the exact bytes under the signature. SHA-256 of them is the id of what was signed. */
export function signedBytes(kid, aad, payload) {
  const kept = concat(head(2, PROTECTED_BYTES), PROTECTED_HEAD, kid);
  return concat(SIGNATURE1, kept, head(2, aad.length), aad, head(2, payload.length), payload);
}

export function wrap(kid, payload, signature) {
  const kept = concat(head(2, PROTECTED_BYTES), PROTECTED_HEAD, kid, Uint8Array.of(0xa0));
  return concat(TAG, kept, head(2, payload.length), payload, head(2, signature.length), signature);
}

/** {kid, payload, signature} of an envelope whose signature is not checked. Throws Malformed. */
export function unwrap(data) {
  if (!same(data.subarray(0, 2), TAG)) throw new Malformed("not a COSE_Sign1");
  const [kept, first] = decodeItem(data, 2, 1);
  const isProtected = kept instanceof Uint8Array && kept.length === PROTECTED_BYTES;
  if (!isProtected || !same(kept.subarray(0, PROTECTED_HEAD.length), PROTECTED_HEAD)) {
    throw new Malformed("protected header");
  }
  if (data[first] !== 0xa0) throw new Malformed("unprotected header");
  const [payload, second] = decodeItem(data, first + 1, 1);
  const [signature, end] = decodeItem(data, second, 1);
  if (!(payload instanceof Uint8Array) || !(signature instanceof Uint8Array) || signature.length !== 64) {
    throw new Malformed("payload or signature");
  }
  if (end !== data.length) throw new Malformed("trailing bytes");
  return { kid: kept.slice(PROTECTED_HEAD.length), payload, signature };
}

/** {kid, payload, signed, id} of an envelope that `publicKey` signed; `kid` is the signer's id unless it is given, which
 * a key needs that is not its holder's first. Throws Malformed or Wrong. */
export async function opened(data, type, genesis, publicKey, kid) {
  const envelope = unwrap(data);
  if (!same(envelope.kid, kid ?? (await signerId(publicKey)))) throw new Wrong("it names another signer");
  const signed = signedBytes(envelope.kid, externalAad(type, genesis), envelope.payload);
  if (!(await verify(publicKey, signed, envelope.signature))) throw new Wrong("the signature does not hold");
  return { kid: envelope.kid, payload: envelope.payload, signed, id: await sha256(signed) };
}

/** {envelope, id}: a payload signed with `sign(message)`. */
export async function sealed(type, genesis, kid, payload, sign) {
  const signed = signedBytes(kid, externalAad(type, genesis), payload);
  return { envelope: wrap(kid, payload, await sign(signed)), id: await sha256(signed) };
}

// TREES (RFC 6962 section 2.1, paths checked as in RFC 9162 section 2.1.3.2)

export function leafHash(data) {
  return sha256(concat(Uint8Array.of(0), data));
}

export function nodeHash(left, right) {
  return sha256(concat(Uint8Array.of(1), left, right));
}

export async function rootOf(leaves) {
  let level = await Promise.all(leaves.map(leafHash));
  if (!level.length) return sha256(new Uint8Array(0));
  while (level.length > 1) {
    const pairs = [];
    for (let at = 0; at < level.length; at += 2) {
      pairs.push(at + 1 < level.length ? nodeHash(level[at], level[at + 1]) : level[at]);
    }
    level = await Promise.all(pairs);
  }
  return level[0];
}

/** The root that a path (hashes one behind the other) leads to from the hash of a leaf; `index` and `size` are BigInt.
 * Throws Wrong for a path that has not the right length. */
export async function rootFrom(leaf, index, size, path) {
  if (index < 0n || index >= size || path.length % 32 || path.length > 32 * PATH_HASHES_MAX) {
    throw new Wrong("the path has not the right length");
  }
  let [node, last, value] = [index, size - 1n, leaf];
  for (let at = 0; at < path.length; at += 32) {
    const one = path.subarray(at, at + 32);
    if (last === 0n) throw new Wrong("the path is too long");
    if (node & 1n || node === last) {
      value = await nodeHash(one, value);
      while (node && !(node & 1n)) [node, last] = [node >> 1n, last >> 1n];
    } else {
      value = await nodeHash(value, one);
    }
    [node, last] = [node >> 1n, last >> 1n];
  }
  if (last) throw new Wrong("the path is too short");
  return value;
}

// CHECKPOINTS (C2SP signed-note and tlog-checkpoint, one signature)

/** {origin, size, root, text, keyId, signature} of a note with one signature, not checked. Throws Malformed. */
export function parseCheckpoint(note) {
  if (typeof note !== "string" || note.length > NOTE_BYTES_MAX) throw new Malformed("not a checkpoint");
  const lines = note.split("\n");
  const [mark, name, signed] = (lines[4] ?? "").split(" ");
  const shaped = lines.length === 6 && lines[3] === "" && lines[5] === "" && mark === "\u2014" && name === lines[0];
  if (!shaped || !/^(?:0|[1-9]\d{0,17})$/.test(lines[1])) throw new Malformed("not a checkpoint");
  const root = unbase64(lines[2]);
  const raw = unbase64(signed ?? "");
  const text = `${lines.slice(0, 3).join("\n")}\n`;
  if (root.length !== 32 || raw.length !== 68 || `${text}\n\u2014 ${name} ${signed}\n` !== note) {
    throw new Malformed("not a checkpoint with one signature");
  }
  return { origin: name, size: BigInt(lines[1]), root, text, keyId: raw.slice(0, 4), signature: raw.slice(4) };
}

/** Whether the coordinator's key signed the checkpoint in the name of its log. */
export async function checkpointHolds(checkpoint, publicKey) {
  const named = concat(ascii(`${checkpoint.origin}\n`), Uint8Array.of(1), publicKey);
  if (!same((await sha256(named)).subarray(0, 4), checkpoint.keyId)) return false;
  return verify(publicKey, ascii(checkpoint.text), checkpoint.signature);
}
