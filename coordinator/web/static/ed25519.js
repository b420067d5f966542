// SHA-256 and Ed25519 by the browser's own WebCrypto. Keys and points that WebCrypto implementations judge differently are
// refused here first: S at or above the order, points that are not canonical or of small order (docs/reference/wire.md, 2).

const P = (1n << 255n) - 19n;
const L = (1n << 252n) + 27742317777372353535851937790883648493n;
const Y8 = 0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd83d3d706a17c7n; // of a point of order eight
const SMALL_ORDER = [0n, 1n, P - 1n, Y8, P - Y8];
const SIGN_BIT = 1n << 255n;
const PKCS8_HEAD = Uint8Array.of(0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20);

/** Why this browser cannot check signatures here; empty if it can. */
export async function cannot() {
  if (!globalThis.isSecureContext || !globalThis.crypto?.subtle) return "insecure";
  try {
    await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"]);
    return "";
  } catch {
    return "no_ed25519";
  }
}

export async function sha256(data) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", data));
}

function littleEndian(bytes) {
  let value = 0n;
  for (let at = bytes.length - 1; at >= 0; at -= 1) value = (value << 8n) | BigInt(bytes[at]);
  return value;
}

/** Whether 32 bytes are a point that may stand in a signature or as a key: canonical, and not of small order. */
export function isProperPoint(point) {
  if (point.length !== 32) return false;
  const y = littleEndian(point) % SIGN_BIT;
  return y < P && !SMALL_ORDER.includes(y);
}

/** Whether the signature holds, as strict as libsodium. No input makes it throw. */
export async function verify(publicKey, message, signature) {
  if (!isProperPoint(publicKey) || signature.length !== 64) return false;
  if (!isProperPoint(signature.subarray(0, 32)) || littleEndian(signature.subarray(32)) >= L) return false;
  try {
    const key = await crypto.subtle.importKey("raw", publicKey, "Ed25519", false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", key, signature, message);
  } catch {
    return false; // not a point of the curve
  }
}

/** {publicKey, sign} of a seed of 32 bytes. Throws for another length. */
export async function signer(seed) {
  if (seed.length !== 32) throw new RangeError("a key has 32 bytes");
  const encoded = new Uint8Array(PKCS8_HEAD.length + 32);
  encoded.set(PKCS8_HEAD);
  encoded.set(seed, PKCS8_HEAD.length);
  // Extractable for a moment: WebCrypto tells the public half of a seed only by its JWK.
  const open = await crypto.subtle.importKey("pkcs8", encoded, "Ed25519", true, ["sign"]);
  const { x } = await crypto.subtle.exportKey("jwk", open);
  const publicKey = Uint8Array.from(atob(x.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0));
  const key = await crypto.subtle.importKey("pkcs8", encoded, "Ed25519", false, ["sign"]);
  encoded.fill(0);
  return { publicKey, sign: async (message) => new Uint8Array(await crypto.subtle.sign("Ed25519", key, message)) };
}
