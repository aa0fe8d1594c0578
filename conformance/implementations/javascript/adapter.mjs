// The adapter of conformance/PROTOCOL.md: a file on standard input, or names of files line by line with --jsonl.

import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";

import { open, QembError } from "./src/qemb.mjs";

const MAX_VALUES = 2 ** 28;
const MAX_SECTION = 2 ** 30;
const QUERY = 0x3f; // ?

/** @typedef {string | Answer[] | {[key: string]: Answer}} Answer */
/** @typedef {{values: Float32Array, dim: number}} Vectors are written row by row: as one string they may be too long */

/** @param {number} value */
const word = (value) => value.toString(16).padStart(8, "0");

/** @param {Uint8Array} bytes */
const hex = (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");

/** Floats by their bits, which go through no number. @param {Float32Array} floats @returns {string[]} */
const bitsOf = (floats) => Array.from(new Uint32Array(floats.buffer, floats.byteOffset, floats.length), word);

/**
 * The fields of a structure under the names that the specification has for them.
 * @param {object} structure
 */
function fields(structure) {
  /** @type {Record<string, string>} */
  const named = {};
  for (const [key, value] of Object.entries(structure)) {
    const name = key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    named[name] = /(^|_)crc$/.test(name) ? word(value) : String(value);
  }
  return named;
}

/**
 * Two ways to the same vectors have to agree; where a transform makes a NaN, any is as good.
 * @param {import("./src/qemb.mjs").Embeddings} emb
 * @param {Float32Array} matrix decoded in bulk
 */
async function compareRows(emb, matrix) {
  const expected = new Uint32Array(matrix.buffer);
  for (let row = 0; row < emb.rowCount; row++) {
    const found = new Uint32Array((await emb.row(row)).buffer);
    found.forEach((bits, j) => {
      const other = expected[row * emb.dim + j];
      if (bits !== other && !(emb.transform && isNaN32(bits) && isNaN32(other))) {
        throw new Error(`value ${j} of row ${row} is ${word(bits)} by itself, ${word(other)} with all others`);
      }
    });
  }
}

/** @param {number} bits */
const isNaN32 = (bits) => (bits & 0x7fffffff) > 0x7f800000;

/**
 * @param {Uint8Array} bytes of a file
 * @returns {Promise<{output: Record<string, Answer>, vectors: Vectors}>}
 */
async function answer(bytes) {
  const emb = await open(bytes, { limits: null }); // the protocol has limits of its own
  const { header, sections, quantization, transform, subword } = emb.info;
  if (header.rows * header.dim > MAX_VALUES) throw new QembError("limit.memory", "more than 2^28 values");
  if (emb.knownSections.some(({ rawSize }) => rawSize > MAX_SECTION)) {
    throw new QembError("limit.memory", "a section of more than 2^30 bytes");
  }
  await emb.verify();

  const all = await emb.allTokens();
  const tokens = Array.from({ length: emb.length }, (_, i) => all.bytes.subarray(all.offsets[i], all.offsets[i + 1]));
  const queries = [new Uint8Array(0), ...tokens].map((token) => Uint8Array.of(...token, QUERY));
  const matrix = await emb.matrix();
  await compareRows(emb, matrix);

  /** @type {Record<string, Answer>} */
  const output = {
    header: fields(header),
    sections: sections.map(fields),
    quantization: fields(quantization),
    tokens: tokens.map(hex),
    lookups: [],
  };
  const rows = [];
  for (const token of [...tokens, ...queries]) rows.push(await emb.find(token));
  output.lookups = rows.map((row) => (row === -1 ? "absent" : String(row)));
  if (transform) output.transform = fields(transform);
  if (subword) {
    output.subword = fields(subword);
    output.subword_vectors = [];
    for (const [i, query] of queries.entries()) {
      const vector = await emb.subwordVector(query);
      output.subword_vectors.push(rows[tokens.length + i] !== -1 ? "token" : vector ? bitsOf(vector) : "none");
    }
  }
  const metadata = await emb.raw("META");
  if (metadata) output.metadata = hex(metadata);
  const norms = await emb.norms();
  if (norms) output.norms = bitsOf(norms);
  const counts = await emb.counts();
  if (counts) output.counts = Array.from(counts, String);
  return { output, vectors: { values: matrix, dim: emb.dim } };
}

/**
 * @param {Promise<Uint8Array>} bytes
 * @returns {Promise<{exit: number, output: Record<string, Answer>, vectors?: Vectors}>}
 */
async function run(bytes) {
  try {
    return { exit: 0, ...(await answer(await bytes)) };
  } catch (error) {
    if (!(error instanceof QembError)) throw error;
    if (error.code === "unsupported.codec" && error.cause) return { exit: 2, output: { unsupported: "zstd" } };
    return { exit: 1, output: { error: error.code, message: error.message } };
  }
}

/** Standard output to the last byte, also where it is a pipe. @param {string} text */
const write = (text) =>
  new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve(undefined)));
  });

/** @param {Record<string, Answer>} output @param {Vectors} [vectors] */
async function print(output, vectors) {
  const text = JSON.stringify(output);
  if (!vectors) return write(text);
  const { values, dim } = vectors;
  await write(`${text.slice(0, -1)},"vectors":[`);
  for (let at = 0; at < values.length; at += dim) {
    await write(`${at ? "," : ""}${JSON.stringify(bitsOf(values.subarray(at, at + dim)))}`);
  }
  return write("]}");
}

async function standardInput() {
  const chunks = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  return new Uint8Array(Buffer.concat(chunks));
}

if (process.argv.includes("--jsonl")) {
  for await (const line of createInterface({ input: process.stdin })) {
    if (!line.trim()) continue;
    const { exit, output, vectors } = await run(readFile(JSON.parse(line).file).then((bytes) => new Uint8Array(bytes)));
    await write(`{"exit":"${exit}","output":`);
    await print(output, vectors);
    await write("}\n");
  }
} else {
  const { exit, output, vectors } = await run(standardInput());
  await print(output, vectors);
  process.exitCode = exit;
}
