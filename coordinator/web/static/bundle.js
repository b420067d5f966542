// Reads a bundle and checks it step by step; coordinator/engine/bundle.py and bundle_check.py do the same in Python, word for
// word, and a test holds the two against each other. Nothing here asks a server for anything.
import { Malformed, Wrong, checkpointHolds, concat, decode, externalAad, hex } from "./wire.js";
import { isUint, leafHash, parseCheckpoint, rootFrom, same, sha256, signedBytes } from "./wire.js";
import { signerId, unwrap, verify } from "./wire.js";
import { KIND_REPORT, certificate, certificates, checkedBody, genesis, header, readings, sheet, statement } from "./said.js";

export const STEPS = ["statements", "receipts", "batches", "payout", "headers", "log", "checkpoint", "keys", "network"];
const VERSION = "edgetally/bundle/1";
export const BUNDLE_BYTES_MAX = 1 << 20;
const BATCHES_MAX = 10;
const BOOTS_MAX = 4;
const STATEMENTS_MAX = 8;
const IDS_MAX = 256;
const SHEETS_MAX = 64;
const DEVICE_KEYS_MAX = 8;
const LEAF_BYTES = 64;
const PAYOUT_BYTES = 96;
const ROLE_COORDINATOR = 1n;
const TIMES = ["batch_beacons", "epoch_beacons", "deadline_beacons"];
const TIME_MAX = 1000000n;
const TOKEN = 1000000000n;
// By code, as in device_client/core/verdicts.py.
const VERDICTS = {
  0: names(
    "ok late stale_beacon unknown_beacon duplicate out_of_window quarantined fork weak_key unsupported_kind bad_body " +
      "token_expired token_exhausted bad_token_signature already_enrolled not_enrolled bad_nonce insufficient_balance " +
      "not_owner not_allowed revoked bad_parameter bad_epoch nothing_open",
  ),
  64: names(
    "malformed oversized bad_signature unknown_device wrong_topic bad_commitment rate_limited overloaded token_unknown " +
      "storage_failed bad_credentials unknown_account bad_countersignature",
  ),
  96: names("dropped gave_up"),
};

function names(text) {
  return text.split(" ");
}

/** Not the file that a coordinator writes; the text says what is wrong with its form. */
export class NotABundle extends Error {}

// READING

function unless(holds) {
  if (!holds) throw new NotABundle("Its parts are not those of a bundle.");
}

const IS = {
  bytes: (value) => value instanceof Uint8Array,
  text: (value) => typeof value === "string",
  list: (value) => Array.isArray(value),
  count: (value) => typeof value === "bigint" && value >= 0n,
};

function shaped(fields, ...kinds) {
  unless(fields.length === kinds.length && fields.every((value, at) => IS[kinds[at]](value)));
  return fields;
}

function all(items, kind, most) {
  unless(items.length <= most && items.every(IS[kind]));
  return items;
}

/** Types and lengths are checked, and nothing else. Throws NotABundle. */
export function parse(data) {
  if (data.length > BUNDLE_BYTES_MAX) throw new NotABundle("It is too large for a bundle.");
  let fields;
  try {
    fields = decode(data);
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    throw new NotABundle("It is not deterministic CBOR.");
  }
  if (!Array.isArray(fields) || fields[0] !== VERSION) throw new NotABundle("It is no bundle of this version.");
  shaped(fields, "text", "bytes", "bytes", "text", "bytes", "list", "count", "list", "list", "list", "list");
  const [, start, keys, checkpoint, device, deviceKeys, epoch, batches, payout, sheets, counts] = fields;
  all(deviceKeys, "bytes", DEVICE_KEYS_MAX);
  all(sheets, "bytes", SHEETS_MAX);
  all(batches, "list", BATCHES_MAX);
  shaped(counts, "count", "count");
  unless(device.length === 16 && deviceKeys.every((key) => key.length === 32));
  if (payout.length) shaped(payout, "count", "count", "count", "bytes", "bytes");
  const held = batches.map(parseBatch);
  return { genesis: start, keys, checkpoint, device, deviceKeys, epoch, batches: held, payout, sheets, counts };
}

function parseBatch(fields) {
  const [envelope, logPath, boots] = shaped(fields, "bytes", "bytes", "list");
  return { header: envelope, logPath, boots: all(boots, "list", BOOTS_MAX).map(parseBoot) };
}

function parseBoot(fields) {
  const [leaf, place, size, path, ids, held] = shaped(fields, "bytes", "count", "count", "bytes", "bytes", "list");
  unless(ids.length % 32 === 0 && ids.length <= IDS_MAX * 32);
  all(held, "list", STATEMENTS_MAX).forEach((one) => shaped(one, "count", "bytes", "count", "bytes", "bytes"));
  return { leaf, place, size, path, ids, statements: held };
}

// PARTS

class Looked {
  failed = [];
  open = [];
  values = [];

  step(name) {
    const verdict = this.failed.length ? "failed" : this.open.length ? "not given" : "ok";
    return { name, verdict, problems: [...this.failed, ...this.open], values: this.values };
  }
}

/** What `made` gives, null where the bytes are not what they should be. */
function orNull(made) {
  try {
    return made();
  } catch (error) {
    if (error instanceof Malformed) return null;
    throw error;
  }
}

/** Its form and what the steps need; which parameters there are is for whoever executes. */
function readGenesis(data) {
  const found = orNull(() => genesis(data));
  if (!found || !/^[a-z0-9][a-z0-9-]{0,31}$/.test(found.name)) return null;
  const [batch, epoch, deadline] = TIMES.map((name) => found.parameters.get(name));
  if (![batch, epoch, deadline].every((one) => isUint(one, TIME_MAX) && one > 0n)) return null;
  return { name: found.name, rootKey: found.rootKey, epoch, deadline };
}

async function readStatement(label, [slot, data, code, salt, beside], network) {
  const envelope = orNull(() => unwrap(data));
  if (!envelope) return { label, slot, envelope, claims: null, code, salt, readings: beside };
  const signed = signedBytes(envelope.kid, externalAad("statement", network), envelope.payload);
  const claims = orNull(() => {
    const found = statement(envelope.payload);
    checkedBody(found);
    return found;
  });
  return { label, slot, envelope, signed, id: await sha256(signed), claims, code, salt, readings: beside };
}

/** How many reading sets a report was signed for, -1 if the readings beside it are others. */
async function setsOf(one) {
  if (one.claims.kind !== KIND_REPORT || one.salt.length !== 16) return -1;
  if (!same(await sha256(concat(one.salt, one.readings)), one.claims.body[1])) return -1;
  const sets = orNull(() => readings(one.readings));
  return sets ? sets.length : -1;
}

async function opens(data, type, network, key) {
  const { kid, payload, signature } = unwrap(data);
  if (!same(kid, await signerId(key))) return false;
  return verify(key, signedBytes(kid, externalAad(type, network), payload), signature);
}

async function leads(leaf, place, size, path, root) {
  try {
    return same(await rootFrom(await leafHash(leaf), place, size, path), root);
  } catch (error) {
    if (error instanceof Wrong) return false;
    throw error;
  }
}

function tokens(amount) {
  const whole = amount < 0n ? -amount : amount;
  return `${amount < 0n ? "-" : ""}${whole / TOKEN}.${String(whole % TOKEN).padStart(9, "0")}`;
}

export function verdictName(code) {
  const first = code >= 96n ? 96n : code >= 64n ? 64n : 0n;
  return VERDICTS[first][code - first] ?? `code_${code}`;
}

function sentence(label) {
  return label[0].toUpperCase() + label.slice(1);
}

function nameOf(device, boot, seq, id8) {
  return [hex(device), boot, seq, hex(id8)].join(" ");
}

// STEPS

/** All steps, in their order: [{name, verdict, problems, values}, ...]. `expected` (32 bytes) is the hash of the network
 * that the reader trusts; without it the bundle's own is shown. */
export async function check(bundle, expected) {
  const foundHash = await sha256(bundle.genesis);
  const network = expected ?? foundHash;
  const seen = {
    bundle,
    expected,
    foundHash,
    network,
    genesis: same(network, foundHash) ? readGenesis(bundle.genesis) : null,
    headers: bundle.batches.map((batch) => orNull(() => header(unwrap(batch.header).payload))),
    checkpoint: orNull(() => parseCheckpoint(bundle.checkpoint)),
    statements: [],
  };
  for (const batch of bundle.batches) {
    for (const boot of batch.boots) {
      boot.read = [];
      for (const fields of boot.statements) {
        const one = await readStatement(`statement ${seen.statements.length + 1}`, fields, network);
        seen.statements.push(one);
        boot.read.push(one);
      }
    }
  }
  const keys = new Looked();
  seen.certified = await certify(seen, keys);
  return [
    (await signedByTheDevice(seen)).step("statements"),
    (await receipted(seen)).step("receipts"),
    (await inTheBatches(seen)).step("batches"),
    (await paid(seen)).step("payout"),
    (await headersSigned(seen)).step("headers"),
    (await inTheLog(seen)).step("log"),
    (await checkpointSigned(seen)).step("checkpoint"),
    keys.step("keys"),
    ofTheNetwork(seen).step("network"),
  ];
}

async function signedByTheDevice({ bundle, statements }) {
  const looked = new Looked();
  if (!statements.length) looked.open.push("The bundle holds no statement of the device.");
  for (const one of statements) await checkStatement(one, bundle, looked);
  return looked;
}

async function checkStatement(one, bundle, looked) {
  const subject = sentence(one.label);
  if (!one.envelope) return looked.failed.push(`${subject} is not a signed statement.`);
  if (!same(one.envelope.kid, bundle.device)) return looked.failed.push(`${subject} names another device.`);
  let signer = null;
  for (const key of bundle.deviceKeys) {
    if (!signer && (await verify(key, one.signed, one.envelope.signature))) signer = key;
  }
  if (!signer) {
    return looked.failed.push(`The signature of ${one.label} does not hold under a key of the device.`);
  }
  if (!one.claims) {
    return looked.failed.push(`${subject} is signed, but its content is not that of a statement.`);
  }
  const sets = one.salt.length || one.readings.length ? await setsOf(one) : 0;
  if (sets < 0) {
    return looked.failed.push(`The readings beside ${one.label} are not those that it was signed for.`);
  }
  if (!same(await signerId(signer), bundle.device)) {
    looked.open.push(
      `${subject} is signed with a key that the device got later: that its owner gave it is not in here.`,
    );
  }
  const where = `boot ${one.claims.boot}, seq ${one.claims.seq}, slot ${one.slot}`;
  const beside = one.readings.length ? `, ${sets} reading sets` : "";
  return looked.values.push(`${one.label}: ${where}, id ${hex(one.id)}${beside}`);
}

async function receipted({ bundle, statements, certified, network }) {
  const looked = new Looked();
  for (const one of statements) looked.values.push(`${one.label}: the batch says ${verdictName(one.code)}`);
  if (!bundle.sheets.length) looked.open.push("The bundle holds no signed receipt: it went to the device.");
  for (const [at, data] of bundle.sheets.entries()) {
    const found = data.length > 1024 ? null : orNull(() => sheet(unwrap(data).payload));
    if (!found) {
      looked.failed.push(`Receipt ${at + 1} is not a signed receipt.`);
      continue;
    }
    if (!certified.length) {
      looked.open.push("No coordinator key is certified here, so no receipt can be checked.");
      return looked;
    }
    const key = keyAt(certified, found.slot);
    if (!key || !(await opens(data, "receipts", network, key))) {
      looked.failed.push(`The signature of receipt ${at + 1} does not hold under the coordinator's key.`);
      continue;
    }
    const rows = new Map(found.rows.map(([device, boot, seq, id8, code]) => [nameOf(device, boot, seq, id8), code]));
    const codes = statements.map((one) =>
      one.claims ? rows.get(nameOf(bundle.device, one.claims.boot, one.claims.seq, one.id.subarray(0, 8))) : undefined,
    );
    if (codes.every((code) => code === undefined)) {
      looked.failed.push(`Receipt ${at + 1} names no statement of the bundle.`);
    }
    statements.forEach((one, index) => {
      if (codes[index] === undefined) return;
      looked.values.push(`receipt ${at + 1}: ${one.label}, ${verdictName(codes[index])}, slot ${found.slot}`);
    });
  }
  return looked;
}

async function inTheBatches({ bundle, headers }) {
  const looked = new Looked();
  if (!bundle.batches.some((batch) => batch.boots.length)) {
    looked.open.push("The bundle holds no statement of the device.");
  }
  for (const [at, batch] of bundle.batches.entries()) {
    const found = headers[at];
    if (!found) {
      if (batch.boots.length) {
        looked.open.push(`Header ${at + 1} cannot be read, so its statements have nowhere to stand.`);
      }
      continue;
    }
    for (const [of, boot] of batch.boots.entries()) {
      await checkBoot(boot, found, bundle.device, `boot entry ${of + 1} of batch ${found.number}`, looked);
    }
  }
  return looked;
}

async function checkBoot(boot, found, device, where, looked) {
  if (boot.leaf.length !== LEAF_BYTES || !same(boot.leaf.subarray(0, 16), device)) {
    looked.failed.push(`The leaf of ${where} is not one of this device.`);
    return;
  }
  const view = new DataView(boot.leaf.buffer, boot.leaf.byteOffset);
  const [number, first, last, count] = [16, 20, 24, 28].map((at) => BigInt(view.getUint32(at)));
  if (!(await leads(boot.leaf, boot.place, boot.size, boot.path, found.statementsRoot))) {
    looked.failed.push(`The path of ${where} does not lead to the statements root of its header.`);
  }
  const listed = boot.ids.length > 0 || count === 0n;
  if (!listed) {
    looked.open.push(`The ids of ${where} are left out: the leaf shows only how many there are.`);
  } else if (BigInt(boot.ids.length) !== count * 32n || !same(await sha256(boot.ids), boot.leaf.subarray(32))) {
    looked.failed.push(`The ids of ${where} are not those of its leaf.`);
  }
  const ids = new Set();
  for (let at = 0; at < boot.ids.length; at += 32) ids.add(hex(boot.ids.subarray(at, at + 32)));
  looked.values.push(`batch ${found.number}: boot ${number}, ${count} statements, seq ${first} to ${last}`);
  for (const one of boot.read) {
    const subject = sentence(one.label);
    if (!one.claims) {
      looked.open.push(`${subject} cannot be read.`);
      continue;
    }
    if (listed && !ids.has(hex(one.id))) {
      looked.failed.push(`${subject} is not among the statements of ${where}.`);
    }
    if (one.claims.boot !== number || one.claims.seq < first || one.claims.seq > last) {
      looked.failed.push(`${subject} is of another boot or number than ${where}.`);
    }
    if (one.slot < found.firstSlot || one.slot > found.lastSlot) {
      looked.failed.push(`${subject} is said to be of a slot that batch ${found.number} does not hold.`);
    }
  }
}

async function paid({ bundle, headers, genesis: start }) {
  const looked = new Looked();
  if (!bundle.payout.length) {
    looked.open.push(
      "The bundle holds no payout: the device was not paid in this epoch, or the epoch is not closed.",
    );
    return looked;
  }
  const [number, place, size, path, leaf] = bundle.payout;
  const view = new DataView(leaf.buffer, leaf.byteOffset, leaf.length);
  const isOwn = leaf.length === PAYOUT_BYTES && view.getBigUint64(0) === bundle.epoch;
  if (!isOwn || !same(leaf.subarray(8, 24), bundle.device)) {
    looked.failed.push("The payout is of another device or epoch.");
    return looked;
  }
  looked.values.push(`epoch ${bundle.epoch}, owner ${hex(leaf.subarray(24, 40))}`);
  const parts = [40, 48, 56, 64, 72, 80].map((at) => view.getBigInt64(at));
  const names = ["presence", "sensing", "owner cap", "paid", "withheld", "released"];
  names.forEach((name, at) => looked.values.push(`${name}: ${tokens(parts[at])}`));
  const [presence, sensing, ownerCap, sum, withheld] = parts;
  if (parts.some((part) => part < 0n) || presence + sensing - ownerCap !== sum || withheld > sum) {
    looked.failed.push("The payout's parts do not add up.");
  }
  const found = headers.find((one) => one && one.number === number);
  if (!found) {
    if (headers.includes(null)) {
      looked.open.push("A header cannot be read, so the payout has nowhere to stand.");
    } else {
      looked.failed.push("The header of the batch that the payout is said to stand in is not in here.");
    }
    return looked;
  }
  looked.values.push(`row ${place} of ${size} in batch ${number}`);
  if (!start) {
    looked.open.push("Without the genesis nobody knows which batch closes the epoch.");
  } else {
    const end = (bundle.epoch + 1n) * start.epoch + start.deadline;
    if (found.firstSlot >= end || end > found.lastSlot + 1n) {
      looked.failed.push(`Batch ${number} does not close epoch ${bundle.epoch}.`);
    }
  }
  const counted = found.files.filter(([name]) => name === "payouts.rows").map(([, bytes]) => bytes);
  if (counted.length !== 1 || counted[0] !== size * BigInt(PAYOUT_BYTES)) {
    looked.failed.push("The header counts another number of payouts.");
  }
  if (!(await leads(leaf, place, size, path, found.payoutsRoot))) {
    looked.failed.push("The path does not lead from the payout to the payouts root of its header.");
  }
  return looked;
}

async function headersSigned({ bundle, headers, certified, network }) {
  const looked = new Looked();
  if (!headers.length) looked.open.push("The bundle holds no header.");
  let before = -1n;
  for (const [at, found] of headers.entries()) {
    if (!found) {
      looked.failed.push(`Header ${at + 1} is not a signed header.`);
      continue;
    }
    if (found.number <= before) looked.failed.push(`Header ${at + 1} is out of order.`);
    before = found.number;
    if (!certified.length) continue;
    const data = bundle.batches[at].header;
    const key = keyAt(certified, found.lastSlot + 1n);
    if (!key) {
      looked.failed.push(`No coordinator key was certified when batch ${found.number} was sealed.`);
    } else if (!(await opens(data, "header", network, key))) {
      looked.failed.push(
        `The signature of the header of batch ${found.number} does not hold under the coordinator's key.`,
      );
    }
    const { kid, payload } = unwrap(data);
    const id = await sha256(signedBytes(kid, externalAad("header", network), payload));
    looked.values.push(`batch ${found.number}: slots ${found.firstSlot} to ${found.lastSlot}, id ${hex(id)}`);
  }
  if (headers.length && !certified.length) {
    looked.open.push("No coordinator key is certified here, so no header can be checked.");
  }
  return looked;
}

async function inTheLog({ bundle, headers, checkpoint }) {
  const looked = new Looked();
  if (!headers.length) {
    looked.open.push("The bundle holds no header.");
    return looked;
  }
  if (!checkpoint) {
    looked.open.push("Without a checkpoint there is no log to look into.");
    return looked;
  }
  for (const [at, found] of headers.entries()) {
    if (!found) {
      looked.open.push("A header cannot be read, so nobody can tell whether it is in the log.");
      continue;
    }
    const { header: data, logPath } = bundle.batches[at];
    const { size, root } = checkpoint;
    if (found.number >= size) {
      looked.failed.push(`Batch ${found.number} is behind the checkpoint, which ends before it.`);
    } else if (!(await leads(unwrap(data).payload, found.number, size, logPath, root))) {
      looked.failed.push(
        `The path does not lead from the header of batch ${found.number} to the root of the checkpoint.`,
      );
    }
    looked.values.push(`batch ${found.number} of ${size}: ${Math.floor(logPath.length / 32)} hashes`);
  }
  return looked;
}

async function checkpointSigned({ bundle, checkpoint, genesis: start, certified, network }) {
  const looked = new Looked();
  if (!bundle.checkpoint) {
    looked.open.push("The bundle holds no checkpoint.");
    return looked;
  }
  if (!checkpoint) {
    looked.failed.push("The checkpoint is not a signed note with one signature.");
    return looked;
  }
  looked.values.push(`origin ${checkpoint.origin}`, `size ${checkpoint.size}`, `root ${hex(checkpoint.root)}`);
  if (!start) {
    looked.open.push("Without the genesis nobody knows the name of the log.");
  } else {
    const origin = `edgetally/${start.name}/${hex(network).slice(0, 16)}`;
    const rest = checkpoint.origin.startsWith(origin) ? checkpoint.origin.slice(origin.length) : null;
    if (rest === null || !/^(?:\/(?:[2-9]|[1-9][0-9]{1,9}))?$/.test(rest)) {
      looked.failed.push("The checkpoint is of another network's log.");
    }
  }
  if (!certified.length) {
    looked.open.push("No coordinator key is certified here, so the checkpoint cannot be checked.");
    return looked;
  }
  let holds = false;
  for (const one of certified) holds = holds || (await checkpointHolds(checkpoint, one.publicKey));
  if (!holds) looked.failed.push("The checkpoint is not signed by a certified coordinator key.");
  return looked;
}

/** The coordinator's certificates; none where anything about them is wrong. */
async function certify({ bundle, genesis: start, network }, looked) {
  if (!start) {
    looked.open.push("Without the genesis there is no root key.");
    return [];
  }
  const parts = orNull(() => certificates(bundle.keys));
  if (!parts) {
    looked.failed.push("The certificates cannot be read.");
    return [];
  }
  const found = [];
  for (const [at, part] of parts.entries()) {
    const one = orNull(() => certificate(unwrap(part).payload));
    if (!one) {
      looked.failed.push(`Certificate ${at + 1} cannot be read.`);
    } else if (!(await opens(part, "owner", network, start.rootKey))) {
      looked.failed.push(`Certificate ${at + 1} is not signed by the root key.`);
    } else {
      const role = one.role === ROLE_COORDINATOR ? "coordinator" : "firmware";
      looked.values.push(
        `${role} key ${hex(one.publicKey)}, serial ${one.serial}, from beacon ${one.fromBeacon}`,
      );
      found.push(one);
    }
  }
  const coordinators = found.filter((one) => one.role === ROLE_COORDINATOR);
  if (!looked.failed.length && !coordinators.length) looked.failed.push("No coordinator key is certified.");
  return looked.failed.length ? [] : coordinators;
}

/** In force at a beacon: the highest serial that has begun by then, the first of two that are equal. */
function keyAt(certified, beacon) {
  const valid = certified.filter((one) => one.fromBeacon <= beacon);
  return valid.reduce((best, one) => (best && best.serial >= one.serial ? best : one), null)?.publicKey ?? null;
}

function ofTheNetwork({ expected, foundHash, genesis: start }) {
  const looked = new Looked();
  looked.values.push(`hash ${hex(foundHash)}`);
  if (expected && !same(expected, foundHash)) {
    looked.failed.push("The genesis is of another network than the one that you hold the hash of.");
  } else if (!start) {
    looked.failed.push("The genesis cannot be read.");
  } else {
    looked.values.push(`name ${start.name}`, `root key ${hex(start.rootKey)}`);
    if (!expected) looked.open.push("Compare this hash with the one that your device was set up with.");
  }
  return looked;
}
