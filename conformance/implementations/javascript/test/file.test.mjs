import assert from "node:assert/strict";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

import { open, QembError } from "../src/qemb.mjs";
import { assemble, buildLinear, randomTable, tokenParts } from "./build.mjs";

const EXAMPLES = new URL("../../../../spec/examples/", import.meta.url);
const ZSTD_CASES = new URL("../../../valid/zstd/", import.meta.url);
/** @param {string} name */
const example = async (name) => new Uint8Array(await readFile(new URL(name, EXAMPLES)));

/** @param {Float32Array} values */
const bitsOf = (values) =>
  Array.from(new Uint32Array(values.slice().buffer), (word) => word.toString(16).padStart(8, "0"));

/** @param {Promise<unknown>} promise @param {string} code */
const fails = (promise, code) =>
  assert.rejects(
    promise,
    (error) => error instanceof QembError && error.code === code && !error.message.includes("\n"),
  );

test("the worked examples decode to the bits in the specification", async () => {
  const linear = await open(await example("linear.qemb"));
  assert.deepEqual(bitsOf(await linear.matrix()), [
    "3f010204",
    "bf800000",
    "3e810204",
    "00000000",
    "00000000",
    "00000000",
  ]);
  const codebook = await open(await example("codebook.qemb"));
  assert.deepEqual(bitsOf(await codebook.row(1)), ["bf4c9666", "3ef02666", "3e06199a", "be2d199a", "3f7fc99a"]);
  assert.deepEqual(await codebook.metadata(), { license: "CC0-1.0" });
  assert.deepEqual(await codebook.counts(), BigUint64Array.of(7n, 5n, 3n));
  const trellis = await open(await example("trellis.qemb"));
  assert.deepEqual(bitsOf(/** @type {Float32Array} */ (await trellis.get("b"))), [
    "c1200000",
    "4129999a",
    "40f66667",
    "3e99999a",
    "c0f00000",
  ]);
  for (const emb of [linear, codebook, trellis]) await emb.verify();
});

test("a file decodes to no more than its size and the caller allow", async () => {
  const bytes = await example("linear.qemb");
  const decoded = 28 + 6 + 8 + 12 + 9 + 16 + 4 * 6 + 64 * 2;
  const limits = (/** @type {number} */ decodedSize, /** @type {number} */ expansion) => ({
    limits: { decodedSize, expansion },
  });
  await fails(open(bytes, limits(decoded - 1, 0)), "limit.memory");
  await fails(open(bytes, limits(0, (decoded - 1) / bytes.length)), "limit.memory");
  for (const allowed of [limits(decoded, 0), limits(0, decoded / bytes.length), { limits: null }]) {
    assert.equal((await open(bytes, allowed)).length, 2);
  }
});

test("tokens are found by text or bytes, and nothing else is", async () => {
  const emb = await open(await example("codebook.qemb"));
  assert.equal(emb.length, 3);
  assert.deepEqual([await emb.token(0), await emb.token(1), await emb.token(2)], ["", "naïve", "New York"]);
  assert.equal(await emb.find("naïve"), 1);
  assert.equal(await emb.find(new TextEncoder().encode("New York")), 2);
  assert.equal(await emb.has(""), true);
  for (const absent of ["New", "new york", "nai\u0308ve", "na\ufffdve", "\ud800", "x".repeat(70000)]) {
    assert.equal(await emb.find(absent), -1);
    assert.equal(await emb.get(absent), undefined);
  }
  await assert.rejects(emb.token(3), RangeError);
  await assert.rejects(emb.rows(2, 4), RangeError);
  await assert.rejects(emb.rows(-1, 1), RangeError);
});

test("bytes, ArrayBuffer, Blob, path and file URL are the same file", async () => {
  const bytes = await example("codebook.qemb");
  const folder = await mkdtemp(join(tmpdir(), "qemb-"));
  try {
    const path = join(folder, "a b%20.qemb");
    await writeFile(path, bytes);
    const ways = [bytes, bytes.slice().buffer, new Blob([bytes.slice()]), path, pathToFileURL(path)];
    for (const way of ways) {
      const emb = await open(way);
      assert.deepEqual(bitsOf(await emb.matrix()), bitsOf(await (await open(bytes)).matrix()));
      assert.equal(await emb.find("New York"), 2);
      await emb.verify();
      await emb.close();
    }
    await fails(open(join(folder, "none.qemb")), "source.unreachable");
    await fails(open(folder), "source.unreachable");
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("bytes that begin within a buffer are read from where they begin", async () => {
  const bytes = await example("trellis.qemb");
  const buffer = new Uint8Array(bytes.length + 7);
  buffer.set(bytes, 3);
  const emb = await open(buffer.subarray(3, 3 + bytes.length));
  assert.deepEqual(bitsOf(await emb.matrix()), bitsOf(await (await open(bytes)).matrix()));
});

test("an error says what and where, on one line", async () => {
  const bytes = await example("linear.qemb");
  await fails(open(new Uint8Array(0)), "malformed.truncated");
  await fails(open(bytes.subarray(0, 655)), "malformed.truncated");
  await fails(open(new TextEncoder().encode("PK\u0003\u0004")), "malformed.magic");
  const padded = bytes.slice();
  padded[600] = 1;
  const emb = await open(padded);
  await assert.rejects(emb.verify(), (/** @type {QembError} */ error) => {
    assert.deepEqual([error.code, error.where, error.offset], ["invalid.padding", "INDX", 600]);
    assert.equal(error.message, "INDX, byte 600: padding is not zero");
    return true;
  });
});

test("verifying finds every byte that is changed", async () => {
  for (const name of ["linear.qemb", "codebook.qemb", "trellis.qemb"]) {
    const bytes = await example(name);
    for (let at = 0; at < bytes.length; at++) {
      bytes[at] ^= 1 << (at % 8);
      await assert.rejects(
        open(bytes).then((emb) => emb.verify()),
        QembError,
        `${name} ${at}`,
      );
      bytes[at] ^= 1 << (at % 8);
    }
  }
});

test("a table of many rows is the same row by row, in runs and at once", async () => {
  const { tokens, codes, scales, bytes } = randomTable(20000, 77); // more than is decoded at once
  const emb = await open(bytes);
  await emb.verify();
  const matrix = await emb.matrix();
  const expected = Float32Array.from(codes, (code, i) => code * scales[Math.floor(i / 77)]);
  assert.deepEqual(matrix, expected);
  for (const row of [0, 1, 13616, 13617, 13618, 19999]) {
    assert.deepEqual(await emb.row(row), expected.subarray(77 * row, 77 * (row + 1)).slice());
    assert.equal(await emb.find(tokens[row]), row);
  }
  assert.deepEqual(await emb.rows(13000, 14000), expected.slice(77 * 13000, 77 * 14000));
});

test("the nearest are those that a sort by cosine puts first", async () => {
  const tokens = ["a", "b", "c", "zero", "d"];
  const codes = Int8Array.of(100, 0, 90, 20, -100, 0, 0, 0, 3, 4);
  const emb = await open(buildLinear(tokens, codes, Float32Array.of(1, 2, 3, 4, 5)));
  const found = /** @type {import("../src/qemb.mjs").Neighbour[]} */ (await emb.nearest("a", 10));
  assert.deepEqual(
    found.map(({ token }) => token),
    ["b", "d", "c"],
  );
  assert.ok(Math.abs(found[1].score - 0.6) < 1e-12);
  assert.equal(found[2].score, -1);
  assert.equal((await emb.nearest("a", 1))?.length, 1);
  assert.equal((await emb.nearest(Float32Array.of(-1, 0), 1))?.[0].token, "c");
  assert.deepEqual(await emb.nearest("zero"), []);
  assert.equal(await emb.nearest("none"), undefined);
  await assert.rejects(emb.nearest(new Float32Array(3)), RangeError);
});

test("lookups that go on at the same time keep their frames apart", async () => {
  const tokens = Array.from({ length: 200 }, (_, i) => `${"x".repeat(i % 7)}${i}`);
  const codes = Int8Array.from({ length: 600 }, (_, i) => i);
  for (const frameSize of [1, 5, 12, 1000]) {
    const emb = await open(buildLinear(tokens, codes, new Float32Array(200).fill(1), frameSize));
    await emb.verify();
    assert.deepEqual(
      await Promise.all(tokens.map((token) => emb.find(token))),
      tokens.map((_, row) => row),
    );
    const vectors = await Promise.all(tokens.map((token) => emb.get(token)));
    assert.deepEqual(
      vectors,
      tokens.map((_, row) => Float32Array.from(codes.subarray(3 * row, 3 * row + 3))),
    );
  }
});

test("values that are kept verbatim are rotated with the others", async () => {
  const descriptor = Buffer.alloc(28);
  descriptor.set([3, 8, 8]); // decimal, 8 bits, 2 digits, 10^0: R is 99
  descriptor.writeUInt32LE(2, 16);
  descriptor.set([2, 0, 0], 20);
  const exception = Buffer.alloc(12);
  exception.writeUInt32LE(1, 0);
  exception.writeFloatLE(0.5, 8);
  const transform = Buffer.alloc(16);
  transform.set([1, 1, 1]); // one round; the first word from seed 0 ends in AF: both values are negated
  /** @type {import("./build.mjs").Part[]} */
  const parts = [
    ["QUAN", 1, descriptor],
    ["TRNS", 1, transform],
    ["CODE", 1, Uint8Array.of(99 + 3, 99)],
    ["EXCP", 1, exception],
  ];
  const emb = await open(assemble([...parts, ...tokenParts(["a"])], 1, 2));
  await emb.verify();
  const factor = Math.fround(1 / Math.sqrt(2));
  assert.deepEqual(await emb.row(0), Float32Array.of(-3.5 * factor, -2.5 * factor));
});

test("without zstddec, files that have no compressed frames are read, and others are refused", async () => {
  const folder = await mkdtemp(join(tmpdir(), "qemb-"));
  try {
    await cp(new URL("../src", import.meta.url), join(folder, "src"), { recursive: true });
    const alone = await import(pathToFileURL(join(folder, "src", "qemb.mjs")).href);
    await (await alone.open(await example("trellis.qemb"))).verify(); // frames, stored as they are
    const compressed = (await readdir(ZSTD_CASES)).find((name) => name.endsWith(".qemb")) ?? "";
    const emb = await alone.open(new Uint8Array(await readFile(new URL(compressed, ZSTD_CASES))));
    await assert.rejects(emb.verify(), { code: "unsupported.codec", message: /needs? the package zstddec/ });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("an index without an empty slot ends the search", async () => {
  const tokens = ["a", "b"];
  const parts = tokenParts(tokens);
  new Uint32Array(parts[2][2].buffer).fill(0);
  const bytes = buildLinear(tokens, Int8Array.of(1, 2), new Float32Array(2).fill(1));
  const descriptor = /** @type {import("./build.mjs").Part} */ (["QUAN", 1, bytes.subarray(64 * 5, 64 * 5 + 28)]);
  const emb = await open(
    assemble([descriptor, ["CODE", 1, Int8Array.of(1, 2)], ["SCAL", 1, new Float32Array(2)], ...parts], 2, 1),
  );
  await fails(emb.find("c"), "invalid.index");
});
