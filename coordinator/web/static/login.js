// Passkeys: the page holds the options, the form takes the browser's answer. Nothing is fetched.

const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0));
const base64url = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

const credentials = (listed) => (listed ?? []).map((one) => ({ ...one, id: bytes(one.id) }));

/** What the browser wants: the same as the page's JSON, with bytes where that has base64url. */
function options(json) {
  const given = JSON.parse(json);
  given.challenge = bytes(given.challenge);
  if (given.user) given.user.id = bytes(given.user.id);
  if (given.allowCredentials) given.allowCredentials = credentials(given.allowCredentials);
  if (given.excludeCredentials) given.excludeCredentials = credentials(given.excludeCredentials);
  return given;
}

function answer(credential) {
  const response = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[name]) response[name] = base64url(credential.response[name]);
  }
  const id = base64url(credential.rawId);
  return JSON.stringify({ id, rawId: id, type: credential.type, clientExtensionResults: {}, response });
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  const said = form.querySelector("[data-said]");
  const button = form.querySelector("button");
  if (!globalThis.isSecureContext || !navigator.credentials || !globalThis.PublicKeyCredential) {
    said.textContent = "This browser gives no passkeys to this page. Use a one-time link.";
    continue;
  }
  said.textContent = "";
  button.disabled = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    said.textContent = "Waiting for your passkey.";
    try {
      const publicKey = options(form.dataset.options);
      const made = await navigator.credentials[form.dataset.passkey]({ publicKey });
      form.elements.answer.value = answer(made);
      form.submit();
    } catch (error) {
      const refused = error.name === "NotAllowedError" ? "No passkey was used." : `That did not work: ${error.message}`;
      said.textContent = `${refused} You can try again.`;
      button.disabled = false;
    }
  });
}
