// The page `/verify` and its file for offline use: takes a bundle, checks it, and writes down what each step says. All text
// goes in as text. Of the server it asks for the bundle, and for nothing else.
import { BUNDLE_BYTES_MAX, NotABundle, check, parse } from "./bundle.js";
import { cannot, unhex } from "./wire.js";

const WORDS = {
  insecure:
    "Your browser gives its cryptography only to pages over HTTPS, from this machine, or from a file. Keep the page as " +
    "one file and open that, or use the command line.",
  no_ed25519: "This browser has no Ed25519 yet (Chromium 137, Firefox 129, Safari 17 have). Use another one, or the command line.",
};
const element = (id) => document.getElementById(id);
const stepOf = (name) => element(`step-${name}`);
let held = null;
let run = 0;

function fill(list, lines) {
  list.replaceChildren(
    ...lines.map((line) => {
      const item = document.createElement("li");
      item.textContent = line;
      return item;
    }),
  );
}

function tell(verdict, text) {
  element("outcome").dataset.verdict = verdict;
  element("outcome-text").textContent = text;
}

function show({ name, verdict, problems, values }) {
  const step = stepOf(name);
  step.dataset.verdict = verdict;
  step.querySelector(".badge").textContent = verdict;
  fill(step.querySelector(".problems"), problems);
  fill(step.querySelector(".values"), values);
  const looked = step.querySelector(".looked");
  looked.hidden = !values.length;
  looked.open = verdict === "failed" && values.length > 0;
}

function clear() {
  element("subject").hidden = true;
  for (const step of document.querySelectorAll(".step")) {
    show({ name: step.dataset.step, verdict: "not checked", problems: [], values: [] });
  }
}

function showSubject(bundle, steps) {
  const inside = bundle.batches.flatMap((batch) => batch.boots.flatMap((boot) => boot.statements)).length;
  const paid = steps.find((step) => step.name === "payout").values.find((value) => value.startsWith("paid: "));
  element("subject-device").textContent = Array.from(bundle.device, (one) => one.toString(16).padStart(2, "0")).join("");
  element("subject-epoch").textContent = String(bundle.epoch);
  element("subject-paid").textContent = paid ? `${paid.slice(6)} tokens` : "nothing in this file";
  const [batches, statements] = bundle.counts;
  element("subject-held").textContent =
    `${inside} statements in ${bundle.batches.length} batches; the epoch has ${statements} in ${batches}, says the server`;
  element("subject").hidden = false;
}

function titleOf(step) {
  return stepOf(step.name).dataset.title;
}

function conclude(steps) {
  const failed = steps.filter((step) => step.verdict === "failed");
  const open = steps.filter((step) => step.verdict === "not given");
  if (failed.length) {
    const [first] = failed;
    const others = failed.length > 1 ? ` ${failed.length} steps failed.` : "";
    tell("failed", `It does not hold. Failed: ${titleOf(first)}. ${first.problems[0]}${others}`);
  } else {
    const rest = open.length ? ` Not given: ${open.map(titleOf).join("; ")}.` : "";
    tell(open.length === steps.length ? "" : "ok", `What is given holds: ${steps.length - open.length} of ${steps.length} steps are ok.${rest}`);
  }
}

/** Checks what is held, and forgets the answer if another check has begun meanwhile. */
async function checkHeld() {
  if (!held) return;
  const mine = ++run;
  const typed = element("genesis").value.trim().toLowerCase();
  const isHash = /^[0-9a-f]{64}$/.test(typed);
  element("genesis").setCustomValidity(typed && !isHash ? "64 hexadecimal digits" : "");
  element("genesis").reportValidity();
  clear();
  tell("", "Checking…");
  try {
    const bundle = parse(held);
    const steps = await check(bundle, isHash ? unhex(typed) : undefined);
    if (mine !== run) return;
    steps.forEach(show);
    showSubject(bundle, steps);
    conclude(steps);
  } catch (error) {
    if (mine !== run) return;
    const said = error instanceof NotABundle ? `This is no bundle. ${error.message}` : `It cannot be checked: ${error}`;
    tell("failed", said);
  }
}

async function take(file) {
  if (!file) return;
  held = new Uint8Array(await file.slice(0, BUNDLE_BYTES_MAX + 1).arrayBuffer());
  await checkHeld();
}

async function fetchBundle({ device, where }) {
  tell("", "Fetching the bundle…");
  try {
    const answer = await fetch(`/api/v1/devices/${device}/bundle?${where}`);
    if (!answer.ok) {
      tell("", `The server gave no bundle: ${(await answer.json()).detail}`);
      return;
    }
    held = new Uint8Array(await answer.arrayBuffer());
  } catch (error) {
    tell("", `The server did not answer: ${error}`);
    return;
  }
  await checkHeld();
}

function listen() {
  const [file, genesis] = [element("file"), element("genesis")];
  file.disabled = genesis.disabled = false;
  file.addEventListener("click", () => (file.value = "")); // the same name again may be another file
  file.addEventListener("change", () => take(file.files[0]));
  genesis.addEventListener("change", checkHeld);
  const body = document.body;
  for (const kind of ["dragover", "dragleave", "drop"]) {
    body.addEventListener(kind, (event) => {
      event.preventDefault();
      body.classList.toggle("dropping", kind === "dragover");
      if (kind === "drop") take(event.dataTransfer.files[0]);
    });
  }
}

const reason = await cannot();
if (reason) {
  tell("", WORDS[reason]);
} else {
  listen();
  const inside = element("held")?.value;
  const picked = element("pick")?.dataset;
  if (inside) {
    held = Uint8Array.from(atob(inside), (one) => one.charCodeAt(0));
    await checkHeld();
  } else if (picked?.device) {
    await fetchBundle(picked);
  }
}
