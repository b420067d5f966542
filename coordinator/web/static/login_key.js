// The key of an account answers a challenge. The file is read here; what leaves is a signature.

import { base64, cannot, encode, sealed, signer, signerId, unhex } from "./wire.js";

const KEY_BYTES = 32;
const REASONS = {
  insecure: "Browsers sign on pages with TLS or on this computer only. Use the command above.",
  no_ed25519: "This browser does not know Ed25519. Use the command above.",
};

async function envelopeOf(form) {
  const seed = new Uint8Array(await form.elements.file.files[0].slice(0, KEY_BYTES + 1).arrayBuffer());
  if (seed.length !== KEY_BYTES) throw new Error("this is not a key file of 32 bytes");
  const { challenge, expiry, genesis } = form.dataset;
  const key = await signer(seed);
  seed.fill(0);
  const account = form.elements.account.value ? unhex(form.elements.account.value) : await signerId(key.publicKey);
  // Where this page is, by the browser's own word: a page elsewhere cannot have this signed for us.
  const payload = encode([location.origin, unhex(challenge), BigInt(expiry)]);
  return (await sealed("login", unhex(genesis), account, payload, key.sign)).envelope;
}

async function begin(form) {
  const said = form.querySelector("[data-said]");
  const why = await cannot();
  if (why) {
    said.textContent = REASONS[why];
    return;
  }
  said.textContent = "";
  for (const control of form.elements) control.disabled = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      form.elements.envelope.value = base64(await envelopeOf(form));
      form.submit();
    } catch (error) {
      said.textContent = `That did not work: ${error.message}.`;
    }
  });
}

for (const form of document.querySelectorAll("form[data-owner-key]")) begin(form);
