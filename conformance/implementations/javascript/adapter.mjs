// The adapter of conformance/PROTOCOL.md: a file on standard input, or names of files line by line with --jsonl.

import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";

import { open, QembError } from "./src/qemb.mjs";

const MAX_VALUES = 2 ** 28;
const MAX_SECTION = 2 ** 30;
const QUERY = 0x3f; // ?

/** @typedef {string | Answer[] | {[key: string]: Answer}} Answer */

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
 * @param {string[][]} vectors decoded in bulk
 */
async function compareRows(emb, vectors) {
  for (const [row, expected] of vectors.entries()) {
    const found = bitsOf(await emb.row(row));
    const differs = found.some((bits, j) => bits !== expected[j] && !(emb.transform && isNaN32(bits) && isNaN32(expected[j])));
    if (differs) throw new Error(`row ${row} decodes to ${found} by itself, to ${expected} with all others`);
  }
}

/** @param {string} bits */
const isNaN32 = (bits) => (parseInt(bits, 16) & 0x7fffffff) > 0x7f800000;

/**
 * @param {Uint8Array} bytes of a file
 * @returns {Promise<Answer>}
 */
async function answer(bytes) {
  const emb = await open(bytes);
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
  const vectors = Array.from({ length: emb.rowCount }, (_, i) => bitsOf(matrix.subarray(i * emb.dim, (i + 1) * emb.dim)));
  await compareRows(emb, vectors);

  /** @type {Record<string, Answer>} */
  const output = {
    header: fields(header),
    sections: sections.map(fields),
    quantization: fields(quantization),
    tokens: tokens.map(hex),
    vectors,
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
  return output;
}

/**
 * @param {Promise<Uint8Array>} bytes
 * @returns {Promise<{exit: string, output: Answer}>}
 */
async function run(bytes) {
  try {
    return { exit: "0", output: await answer(await bytes) };
  } catch (error) {
    if (!(error instanceof QembError)) throw error;
    if (error.code === "unsupported.codec" && error.cause) return { exit: "2", output: { unsupported: "zstd" } };
    return { exit: "1", output: { error: error.code, message: error.message } };
  }
}

/** Standard output to the last byte, also where it is a pipe. @param {Answer} value */
const print = (value) =>
  new Promise((resolve, reject) => {
    process.stdout.write(`${JSON.stringify(value)}\n`, (error) => (error ? reject(error) : resolve(undefined)));
  });

async function standardInput() {
  const chunks = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  return new Uint8Array(Buffer.concat(chunks));
}

if (process.argv.includes("--jsonl")) {
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.trim()) await print(await run(readFile(JSON.parse(line).file).then((bytes) => new Uint8Array(bytes))));
  }
} else {
  const { exit, output } = await run(standardInput());
  await print(output);
  process.exitCode = Number(exit);
}
