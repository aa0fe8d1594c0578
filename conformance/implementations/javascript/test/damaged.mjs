// Everything that the reader does, done to files that may be damaged, which are named line by line as PROTOCOL.md has it.
// A call ends well or in a QembError, and in a file that verifies in none but `limit.memory`; it takes neither two
// seconds nor 256 MiB above the size of the file. What else happens is a finding. Run it with --expose-gc.

import { readFile, writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";

import { open, QembError } from "../src/qemb.mjs";

const SECONDS = 2;
const MEMORY = 2 ** 28;
/** Rows and tokens that are looked at, of those at the beginning. */
const SOME = 20;

/** The most memory of this process since it was last asked to forget. */
const mostMemory = () => 1024 * process.resourceUsage().maxRSS;

/** @param {Uint8Array} bytes */
async function exercise(bytes) {
  /** @type {string[]} */
  const findings = [];
  /** Codes of errors, in order. @type {string[]} */
  const codes = [];
  let slowest = 0;
  globalThis.gc?.();
  await writeFile("/proc/self/clear_refs", "5").catch(() => {}); // not every system has it
  const limit = mostMemory() + MEMORY + bytes.length;

  /**
   * @template T
   * @param {string} name
   * @param {() => Promise<T>} call
   * @returns {Promise<T | undefined>}
   */
  async function attempt(name, call) {
    const start = process.cpuUsage();
    try {
      return await call();
    } catch (error) {
      if (error instanceof QembError) codes.push(error.code);
      else findings.push(`${name}: ${error}`);
      return undefined;
    } finally {
      const { user, system } = process.cpuUsage(start);
      const seconds = (user + system) / 1e6;
      slowest = Math.max(slowest, seconds);
      if (seconds > SECONDS) findings.push(`${name} took ${seconds.toFixed(1)} s`);
      if (mostMemory() > limit) findings.push(`${name} took ${Math.round((mostMemory() - limit + MEMORY) / 2 ** 20)} MiB`);
    }
  }

  const emb = await attempt("open", () => open(bytes));
  const opened = codes.shift() ?? "good";
  let verified = "";
  if (emb) {
    await attempt("verify", () => emb.verify());
    verified = codes.shift() ?? "good";
    await everything(emb, attempt);
    const wrong = codes.find((code) => code !== "limit.memory");
    if (verified === "good" && wrong) findings.push(`a file that verifies: ${wrong}`);
  }
  return { opened, verified, slowest: String(slowest), findings };
}

/**
 * @param {import("../src/qemb.mjs").Embeddings} emb
 * @param {(name: string, call: () => Promise<any>) => Promise<any>} attempt
 */
async function everything(emb, attempt) {
  for (const { kind } of emb.knownSections) await attempt(`raw ${kind}`, () => emb.raw(kind));
  await attempt("metadata", () => emb.metadata());
  await attempt("norms", () => emb.norms());
  await attempt("counts", () => emb.counts());
  await attempt("tokens", () => emb.allTokens());
  const words = [new TextEncoder().encode("?"), new Uint8Array(0)];
  for (let row = 0; row < Math.min(emb.length, SOME); row++) {
    await attempt("token as text", () => emb.token(row));
    const token = await attempt("token", () => emb.tokenBytes(row));
    if (token) words.push(token);
  }
  for (const word of words) {
    await attempt("find", () => emb.find(word));
    await attempt("vector of a word", () => emb.get(word));
    await attempt("vector of n-grams", () => emb.subwordVector(word));
  }
  for (let row = Math.min(emb.rowCount, SOME); row-- > 0;) await attempt("row", () => emb.row(row));
  if (emb.rowCount) await attempt("last row", () => emb.row(emb.rowCount - 1));
  await attempt("matrix", () => emb.matrix());
  await attempt("nearest to a vector", () => emb.nearest(new Float32Array(emb.dim).fill(1), 3));
  await attempt("nearest to a word", () => emb.nearest(words[words.length - 1], 3));
  await attempt("load", () => emb.load());
  await attempt("row of what was loaded", () => emb.rows(0, Math.min(emb.rowCount, 2)));
}

for await (const line of createInterface({ input: process.stdin })) {
  const bytes = new Uint8Array(await readFile(JSON.parse(line).file));
  let output = await exercise(bytes);
  // what took long is measured again: compilers and the collector take their time too
  if (output.findings.some((finding) => / took /.test(finding))) output = await exercise(bytes);
  process.stdout.write(`${JSON.stringify({ exit: "0", output })}\n`);
}
