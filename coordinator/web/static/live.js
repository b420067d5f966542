// Keeps the marked numbers of a page up to date, from the events of /api/v1/events.
//
//   data-live="NAME"          around a <data> of the field NAME: a count, or an amount where the event has NAME_tokens
//   data-live="done"          the progress of the running epoch, and data-live="done_text" in numbers
//   data-live="silence"       how long ago the newest beacon was, data-silence the seconds when the page was made
//   data-live="stalled"       shown while that is too long
//   data-live="state"         whether this page is live; a screen reader is told when that changes
//   data-live="closed"        the epoch that has just closed
//
// Without this script the page is as whole, and `?live=1` reloads it.

const BRIGHT = 3; // decimals of an amount that are not written small
const STALLED_BEACONS = 4;
const counts = new Intl.NumberFormat("en-US");
const marked = (name) => document.querySelectorAll(`[data-live="${name}"]`);
const values = (name) => document.querySelectorAll(`[data-live="${name}"] data`);
let beat = { at: performance.now(), silence: 0, interval: 0, number: 0 };

function put(name, text) {
  for (const element of marked(name)) {
    if (element.textContent !== text) element.textContent = text;
  }
}

function number(name, value) {
  for (const element of values(name)) {
    element.value = value;
    element.textContent = counts.format(value);
  }
}

// Tokens as the server writes them: never through a floating point number, which would round them.
function amount(name, tokens) {
  const cut = tokens.indexOf(".") + 1 + BRIGHT;
  for (const element of values(name)) {
    const small = document.createElement("small");
    small.textContent = tokens.slice(cut);
    element.replaceChildren(tokens.slice(0, cut), small);
    element.value = tokens.replace(/[.,]/g, "").replace(/^0+(?=\d)/, "");
    element.classList.remove("zero");
  }
}

function shown(fields) {
  for (const [name, value] of Object.entries(fields)) {
    if (`${name}_tokens` in fields) {
      if (value !== 0) amount(name, fields[`${name}_tokens`]);
    } else if (typeof value === "number") {
      number(name, value);
    }
  }
}

function epoch(fields) {
  const done = Math.min(Math.max(fields.beacon - fields.epoch * fields.epoch_beacons, 0), fields.epoch_beacons);
  for (const element of marked("done")) element.value = done;
  put("done_text", counts.format(done));
}

function length(seconds) {
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= 2 * size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${Math.max(seconds, 0)} s`;
}

function tick() {
  const seconds = beat.silence + Math.floor((performance.now() - beat.at) / 1000);
  put("silence", length(seconds));
  const stalled = beat.interval > 0 && seconds > STALLED_BEACONS * beat.interval;
  for (const pulse of document.querySelectorAll(".pulse")) pulse.classList.toggle("stalled", stalled);
  for (const element of marked("stalled")) element.hidden = !stalled;
}

function say(text) {
  put("state", text);
}

function listen() {
  const source = new EventSource("/api/v1/events");
  source.addEventListener("beacon", (event) => {
    const fields = JSON.parse(event.data);
    // The first one tells what the page already says; only a new beacon is heard just now.
    const heard = fields.beacon > beat.number && beat.number >= 0;
    beat = {
      at: heard ? performance.now() : beat.at,
      silence: heard ? 0 : beat.silence,
      interval: fields.beacon_interval_s,
      number: fields.beacon,
    };
    shown(fields);
    epoch(fields);
    tick();
    say("Live: the numbers move by themselves.");
  });
  source.addEventListener("batch", (event) => shown(JSON.parse(event.data)));
  source.addEventListener("epoch", (event) => {
    const { number: closed, paid_tokens: paid, devices } = JSON.parse(event.data);
    for (const element of marked("closed")) {
      const link = document.createElement("a");
      link.href = `/epochs/${closed}`;
      link.textContent = `Epoch ${counts.format(closed)} has closed`;
      const who = devices === 1 ? "1 device" : `${counts.format(devices)} devices`;
      element.replaceChildren(link, `: ${paid} tokens to ${who}.`);
      element.hidden = false;
    }
  });
  source.addEventListener("error", () => {
    const again = source.readyState === EventSource.CLOSED ? "Reload the page to try again." : "Trying again.";
    say(`The connection is gone: these are the numbers of beacon ${counts.format(beat.number)}. ${again}`);
  });
}

const first = marked("silence")[0];
const newest = values("beacon")[0];
if (first && newest) {
  beat.silence = Number(first.dataset.silence);
  beat.number = Number(newest.value);
  beat.interval = Number(first.dataset.interval);
  setInterval(tick, 1000);
  listen();
}
