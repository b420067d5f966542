// The page on which an owner signs. The key's file is read here and nowhere else: it becomes a key that WebCrypto will not
// give back, and only the signed message is sent.
import { Malformed, ascii, cannot, concat, decode, encode, hex, isBytes, same, sealed } from "./wire.js";
import { signer, signerId, unhex, verify } from "./wire.js";

const TOKEN = 1000000000n;
const AMOUNT_MAX = (1n << 63n) - 1n;
const KEY_BYTES = 32;
const OFFER_BYTES_MAX = 256;
const ASKED_MAX = 240; // times, for one verdict
const element = (id) => document.getElementById(id);
const about = element("owner").dataset;
const genesis = unhex(about.genesis);
const account = unhex(about.account);
let holder = null; // {publicKey, sign}
let pending = null; // what is shown to be signed

/** What is wrong with what was typed or chosen, in a sentence. */
class Unusable extends Error {}

function say(where, text, kind = "") {
  where.hidden = !text;
  where.textContent = text;
  where.classList.toggle("bad", kind === "bad");
}

/** Base units of a decimal text, exactly. */
function baseUnits(text) {
  const [whole, part = ""] = text.split(".");
  const value = /^\d{1,10}(\.\d{1,9})?$/.test(text) ? BigInt(whole) * TOKEN + BigInt(part.padEnd(9, "0")) : 0n;
  if (value < 1n || value > AMOUNT_MAX) throw new Unusable(`${text} is not a number of tokens.`);
  return value;
}

async function bytesOf(file, most) {
  if (!file) throw new Unusable("Choose a file.");
  return new Uint8Array(await file.slice(0, most + 1).arrayBuffer());
}

/** Body of a rotation, out of an offer that the device made or of its new key. */
async function rotation(device, file) {
  const data = await bytesOf(file, OFFER_BYTES_MAX);
  const agreed = (publicKey) => concat(ascii(`edgetally/1/device-key/${hex(genesis)}`), device, publicKey);
  if (data.length === KEY_BYTES) {
    const fresh = await signer(data);
    data.fill(0);
    return [device, fresh.publicKey, await fresh.sign(agreed(fresh.publicKey))];
  }
  let offer = null;
  try {
    offer = decode(data);
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
  }
  const isOffer = Array.isArray(offer) && offer.length === 3;
  if (!isOffer || !isBytes(offer[0], 16) || !isBytes(offer[1], 32) || !isBytes(offer[2], 64)) {
    throw new Unusable("This file is neither an offer of a device nor a key.");
  }
  if (!same(offer[0], device)) throw new Unusable("This offer is of another device.");
  if (!(await verify(offer[1], agreed(offer[1]), offer[2]))) {
    throw new Unusable("The new key did not agree to this on this network.");
  }
  return offer;
}

// By kind: what the form's fields say, as [body, words].
const SAY = {
  transfer: async ({ to, amount }) => {
    const units = baseUnits(amount);
    const shown = `${units / TOKEN}.${String(units % TOKEN).padStart(9, "0")}`;
    return [[unhex(to), units], `Move ${shown} tokens to the account ${to}. They cannot be brought back.`];
  },
  device_transfer: async ({ device, to }) => [
    [unhex(device), unhex(to)],
    `Give the device ${device} to the account ${to}, with what is withheld from it and the epoch that is open.`,
  ],
  rotate: async ({ device, file }) => {
    const body = await rotation(unhex(device), file);
    return [body, `Give the device ${device} the new key ${hex(body[1])}. What its old key signs counts no more.`];
  },
  replace: async ({ device, by }) => [
    [unhex(device), unhex(by)],
    `Let the device ${by} take the place of ${device}, which is revoked. This cannot be undone.`,
  ],
  revoke: async ({ device }) => [[unhex(device)], `End the device ${device}. This cannot be undone.`],
  readings: async ({ device, public: open }) => [
    [unhex(device), BigInt(open)],
    `From the next batch on, the readings of the device ${device} are ${open === "1" ? "public" : "private"}.`,
  ],
};

async function answerOf(path, options) {
  const answer = await fetch(path, { cache: "no-store", credentials: "same-origin", ...options });
  const told = await answer.json();
  if (!answer.ok) throw new Unusable(told.detail ? `${told.detail} (${told.code})` : `The server said ${answer.status}.`);
  return told;
}

// THE KEY

async function takeKey() {
  forget();
  const file = element("key-file");
  try {
    const seed = await bytesOf(file.files[0], KEY_BYTES);
    if (seed.length !== KEY_BYTES) throw new Unusable("This file is not a key: a key has 32 bytes.");
    const found = await signer(seed);
    seed.fill(0);
    const known = await answerOf(`/api/v1/accounts/${about.account}`);
    const isFirst = same(await signerId(found.publicKey), account);
    if (known.public_key ? known.public_key !== hex(found.publicKey) : !isFirst) {
      throw new Unusable("This key does not sign for this account.");
    }
    holder = { ...found, brought: isFirst ? [found.publicKey] : [] };
    say(element("key-said"), "The key is here. It signs nothing before you have read what.");
    element("forget").hidden = false;
    for (const button of document.querySelectorAll(".say button")) button.disabled = false;
  } catch (error) {
    say(element("key-said"), told(error), "bad");
  }
  file.value = "";
}

function forget() {
  holder = null;
  put(null);
  say(element("key-said"), "");
  element("forget").hidden = true;
  for (const button of document.querySelectorAll(".say button")) button.disabled = true;
}

function told(error) {
  return error instanceof Unusable ? error.message : `It did not work: ${error.message ?? error}`;
}

// READ, SIGN, FOLLOW

/** Show what would be signed; null takes it away. */
function put(found) {
  pending = found;
  element("review").hidden = !found;
  if (!found) return;
  element("review-words").textContent = found.words;
  const facts = { account: about.account, network: `${about.network}, ${about.genesis}`, nonce: String(found.nonce) };
  element("review-facts").replaceChildren(
    ...Object.entries(facts).map(([name, value]) => {
      const row = document.createElement("div");
      for (const [tag, text] of [["dt", name], ["dd", value]]) {
        row.append(Object.assign(document.createElement(tag), { textContent: text }));
      }
      return row;
    }),
  );
  element("review").focus();
}

async function review(event) {
  event.preventDefault();
  const form = event.target;
  say(element("answer"), "");
  put(null);
  try {
    if (!holder) throw new Unusable("Choose your key first.");
    const [body, words] = await SAY[form.dataset.say](Object.fromEntries(new FormData(form)));
    const { next_nonce: nonce } = await answerOf(`/api/v1/accounts/${about.account}`);
    put({ kind: BigInt(form.dataset.kind), body, words, nonce: BigInt(nonce), form });
  } catch (error) {
    say(element("answer"), told(error), "bad");
  }
}

async function sign() {
  const { kind, body, nonce, form } = pending;
  put(null);
  try {
    const payload = encode([kind, nonce, body, ...holder.brought]);
    const { envelope, id } = await sealed("owner", genesis, account, payload, holder.sign);
    const headers = { "Content-Type": "application/cbor" };
    const taken = await answerOf("/api/v1/owner", { method: "POST", body: envelope, headers });
    if (taken.message !== hex(id)) throw new Unusable("The server took another message than the one that was signed.");
    form.reset();
    await follow(taken.message);
  } catch (error) {
    say(element("answer"), told(error), "bad");
  }
}

/** Tell what becomes of a message, until a batch has executed it. */
async function follow(message) {
  for (let asked = 0; asked < ASKED_MAX; asked += 1) {
    const found = await answerOf(`/api/v1/owner/${message}`);
    if (found.state !== "waiting") {
      conclude(message, found);
      return;
    }
    say(element("answer"), `Signed and sent. Message ${message} waits for the next batch.`);
    await new Promise((go) => setTimeout(go, Math.min(5000, Number(about.intervalS) * 500)));
  }
  say(element("answer"), `Message ${message} still waits. Ask later: /api/v1/owner/${message}`);
}

function conclude(message, { state, verdict, batch }) {
  if (verdict === "ok") {
    say(element("answer"), `Done: executed in batch ${batch}. Message ${message}.`);
    return;
  }
  const terms = [...element("verdict-words").querySelectorAll("dt")];
  const words = terms.find((term) => term.textContent === verdict)?.nextElementSibling.textContent;
  const why = words ? `${words} (${verdict}).` : verdict ? `${verdict}.` : "It was put aside before a batch.";
  say(element("answer"), `Refused${state === "refused" ? "" : ` in batch ${batch}`}: ${why} Message ${message}.`, "bad");
}

const reason = await cannot();
if (reason) {
  const insecure = "this page is not over HTTPS, so the browser gives it no cryptography";
  const why = reason === "insecure" ? insecure : "this browser has no Ed25519 yet";
  say(element("key-said"), `You cannot sign here: ${why}. The commands below do the same.`, "bad");
} else {
  const file = element("key-file");
  file.disabled = false;
  file.addEventListener("change", takeKey);
  element("forget").addEventListener("click", forget);
  element("sign").addEventListener("click", sign);
  element("cancel").addEventListener("click", () => put(null));
  for (const form of document.querySelectorAll(".say")) form.addEventListener("submit", review);
}
