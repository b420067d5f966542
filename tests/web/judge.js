// Judges the vectors of the wire with the page's scripts: the lines of tests/core/judge.py, `name: what came of it`.
async ([name, everything]) => {
  const wire = await import("/static/wire.js");
  const said = await import("/static/said.js");
  const { hex, unhex, same } = wire;

  function shown(value) {
    if (value === null || value === undefined) return "None";
    if (value instanceof Uint8Array) return hex(value);
    if (value instanceof wire.CborMap) return `{${value.pairs.map((pair) => pair.map(shown).join(":")).join(" ")}}`;
    return Array.isArray(value) ? `[${value.map(shown).join(" ")}]` : String(value);
  }

  const genesis = everything.genesis && unhex(everything.genesis);

  async function statementLine(vector) {
    const [envelope, salt, readings] = said.message(unhex(vector.message ?? vector.hex));
    const opened = await wire.opened(envelope, "statement", genesis, unhex(everything.public_key));
    const claims = said.statement(opened.payload);
    const body = said.checkedBody(claims);
    let sets = null;
    if (claims.kind === said.KIND_REPORT) {
      if (!same(await wire.sha256(wire.concat(salt, readings)), body[1])) throw new wire.Wrong("commitment");
      sets = said.readings(readings, vector.readings?.length ? vector.readings[0].length - 1 : 2);
    } else if (salt.length) {
      throw new wire.Wrong("readings beside an enrolment");
    }
    const fields = [claims.nonce, claims.uptimeS, claims.boot, claims.kind, claims.seq, claims.prev, body, sets];
    return `${hex(opened.id)} ${shown(fields)}`;
  }

  async function certificatesLine(vector) {
    const held = [];
    for (const part of said.certificates(unhex(vector.hex))) {
      const opened = await wire.opened(part, "owner", genesis, unhex(everything.root_key));
      held.push(said.certificate(opened.payload));
    }
    return String(held.length);
  }

  async function receiptsLine(vector) {
    const data = unhex(vector.hex);
    if (data.length > 1024) throw new wire.Malformed("too large");
    const sheet = said.sheet(wire.unwrap(data).payload);
    await wire.opened(data, "receipts", genesis, unhex(everything.coordinator_key));
    return shown([sheet.incarnation, sheet.slot, sheet.rows]);
  }

  async function ownerLine(vector) {
    const { publicKey, sign } = await wire.signer(unhex(vector.seed));
    const payload = unhex(vector.payload);
    const made = await wire.sealed("owner", genesis, unhex(vector.account), payload, sign);
    return shown([publicKey, made.envelope, made.id]);
  }

  const LINES = {
    cbor: async (vector) => {
      const value = wire.decode(unhex(vector.hex));
      if (!same(wire.encode(value), unhex(vector.hex))) return "encoded again, it is another";
      return shown(value);
    },
    statements: statementLine,
    certificates: certificatesLine,
    receipts: receiptsLine,
    owner: ownerLine,
    merkle: async (vector) => hex(await wire.rootOf(vector.leaves.map(unhex))),
    paths: async ([leaf, index, size, path]) =>
      hex(await wire.rootFrom(unhex(leaf), BigInt(index), BigInt(size), unhex(path))),
    ed25519: async ([publicKey, message, signature]) =>
      String(await wire.verify(unhex(publicKey), unhex(message), unhex(signature))),
    notes: async ([note, key]) => {
      const checkpoint = wire.parseCheckpoint(note);
      if (!(await wire.checkpointHolds(checkpoint, unhex(key)))) throw new wire.Wrong("signature");
      return shown([checkpoint.origin, checkpoint.size, checkpoint.root]);
    },
  };

  const lines = [];
  for (const vector of [...everything.vectors, ...(everything.invalid ?? [])]) {
    try {
      lines.push(await LINES[name](vector));
    } catch (error) {
      if (!(error instanceof wire.Malformed || error instanceof wire.Wrong)) throw error;
      lines.push("refused");
    }
  }
  return lines;
}
