import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { serve } from "../page/serve.mjs";
import { open, QembError } from "../src/qemb.mjs";
import { randomTable } from "./build.mjs";

const BUDGET = 65536;
const ROWS = 200000;
const DIM = 200;

/** @type {string} */
let folder;
/** @type {ReturnType<typeof randomTable>} */
let table;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "qemb-"));
  table = randomTable(ROWS, DIM);
  await writeFile(join(folder, "large.qemb"), table.bytes);
  const example = new URL("../../../../spec/examples/codebook.qemb", import.meta.url);
  await writeFile(join(folder, "small.qemb"), await readFile(example));
});
after(() => rm(folder, { recursive: true }));

/**
 * @param {Parameters<typeof serve>[0]} options
 * @param {(url: (name: string) => string, log: import("../page/serve.mjs").Served["log"]) => Promise<void>} use
 */
async function served(options, use) {
  const files = { "large.qemb": join(folder, "large.qemb"), "small.qemb": join(folder, "small.qemb") };
  const server = await serve({ files, ...options });
  try {
    await use((name) => `${server.url}files/${name}`, server.log);
  } finally {
    await server.close();
  }
}

/** @param {Promise<unknown>} promise @param {string} code @param {RegExp} [message] */
const fails = (promise, code, message = /./) =>
  assert.rejects(promise, (error) => {
    assert.ok(error instanceof QembError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  });

/** @param {{bytes: number}[]} log */
const total = (log) => log.reduce((sum, { bytes }) => sum + bytes, 0);

test("a word of a file of 40 MB costs less than 64 KB, opening included", async (context) => {
  assert.ok(table.bytes.length > 40e6);
  await served({}, async (url, log) => {
    let most = 0;
    let sum = 0;
    for (let i = 0; i < 50; i++) {
      log.length = 0;
      const row = (i * 7919) % ROWS;
      const emb = await open(url("large.qemb"));
      const vector = await emb.get(`word${row}`);
      const expected = Float32Array.from(
        table.codes.subarray(row * DIM, (row + 1) * DIM),
        (code) => code * table.scales[row],
      );
      assert.deepEqual(vector, expected);
      assert.ok(log.every(({ status }) => status === 206));
      most = Math.max(most, total(log));
      sum += total(log);
    }
    context.diagnostic(`file of ${table.bytes.length} bytes: ${sum / 50} bytes fetched for a word, at most ${most}`);
    assert.ok(most < BUDGET);
  });
});

test("a word that is absent costs less than 64 KB", async () => {
  await served({}, async (url, log) => {
    const emb = await open(url("large.qemb"));
    assert.equal(await emb.get("nothing"), undefined);
    assert.ok(total(log) < BUDGET);
  });
});

test("what has been fetched is not fetched again, and a run is one request", async () => {
  await served({}, async (url, log) => {
    const emb = await open(url("large.qemb"));
    await emb.get("word12345");
    const before = log.length;
    await emb.get("word12345");
    assert.equal(log.length, before);
    await Promise.all([emb.row(777), emb.row(777)]);
    const once = log.length;
    assert.ok(once <= before + 2, "the codes and the scale");
    await emb.rows(50000, 50100);
    assert.equal(log.length, once + 2);
  });
});

test("neighbours cost the codes; once loaded, a few tokens", async () => {
  await served({}, async (url, log) => {
    const emb = await open(url("large.qemb"));
    const size = emb.loadSize;
    assert.equal(size, ROWS * DIM + 4 * ROWS);
    /** @type {number[]} */
    const progress = [];
    log.length = 0;
    await emb.load((fraction) => progress.push(fraction));
    assert.ok(total(log) >= size && total(log) < size + 8192);
    assert.equal(progress.at(-1), 1);
    assert.ok(progress.length > 10 && progress.every((fraction, i) => i === 0 || fraction > progress[i - 1]));
    log.length = 0;
    const found = await emb.nearest("word5", 3);
    assert.equal(found?.length, 3);
    assert.ok(total(log) < BUDGET);
  });
});

test("verifying works over ranges", async () => {
  await served({}, async (url) => {
    for (const name of ["small.qemb", "large.qemb"]) await (await open(url(name))).verify();
  });
});

test("a server without ranges is told of, and the whole file is taken where asked for", async () => {
  await served({ ranges: false }, async (url, log) => {
    await fails(open(url("large.qemb")), "source.no_ranges", /download/);
    assert.ok(total(log) < 10e6, "the download is broken off");
    let arrived = 0;
    const emb = await open(url("small.qemb"), { download: true, onBytes: (bytes) => (arrived += bytes) });
    assert.equal(await emb.find("naïve"), 1);
    assert.equal(arrived, emb.header.fileSize);
  });
});

test("a file that changes under way is noticed", async () => {
  const path = join(folder, "changing.qemb");
  await served({ files: { "changing.qemb": path } }, async (url) => {
    await writeFile(path, table.bytes);
    const emb = await open(url("changing.qemb"));
    await emb.row(100);
    await writeFile(path, table.bytes.slice().fill(0, 1000, 1001));
    await fails(emb.row(150000), "source.changed", /open it again/);
    assert.ok(await emb.row(100), "what is there stays");
  });
});

test("what the server says is passed on", async () => {
  await served({}, async (url) => {
    await fails(open(url("none.qemb")), "source.unreachable", /404/);
  });
  await fails(open("http://127.0.0.1:9/"), "source.unreachable", /cannot be fetched/);
});

test("an empty file, and one that is cut off, are bad files", async () => {
  await writeFile(join(folder, "empty.qemb"), "");
  await writeFile(join(folder, "cut.qemb"), table.bytes.subarray(0, 1e6));
  const files = { "empty.qemb": join(folder, "empty.qemb"), "cut.qemb": join(folder, "cut.qemb") };
  await served({ files }, async (url) => {
    await fails(open(url("empty.qemb")), "malformed.truncated");
    await fails(open(url("cut.qemb")), "malformed.truncated", /1000000 bytes of/);
  });
});

/**
 * A server that answers every range in its own way.
 * @param {import("node:http").RequestListener} listener
 * @param {(url: string) => Promise<void>} use
 */
async function answering(listener, use) {
  const server = createServer(listener);
  await new Promise((done) => server.listen(0, "127.0.0.1", () => done(undefined)));
  try {
    await use(`http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}/`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test("another range than was asked for is not taken for it", async () => {
  await answering(
    (_, response) =>
      response.writeHead(206, { "content-range": "bytes 64-163/1000000" }).end(table.bytes.subarray(64, 164)),
    (url) => fails(open(url), "source.unreachable", /another range/),
  );
});

test("an answer that breaks off is an error", async () => {
  await answering(
    (_, response) => {
      response.writeHead(206, { "content-range": `bytes 0-4095/${table.bytes.length}`, "content-length": 4096 });
      response.write(table.bytes.subarray(0, 100), () => response.destroy());
    },
    (url) => fails(open(url), "source.unreachable", /broke off/),
  );
});

test("a size that no answer tells is asked for by HEAD", async () => {
  const small = await readFile(join(folder, "small.qemb"));
  for (const told of [true, false]) {
    await answering(
      (request, response) => {
        const [from, to] = (request.headers.range ?? "").replace("bytes=", "").split("-").map(Number);
        const part = small.subarray(from, to + 1);
        if (told) response.setHeader("content-range", `bytes ${from}-${from + part.length - 1}/*`);
        if (request.method === "HEAD") response.writeHead(200, { "content-length": small.length }).end();
        else response.writeHead(206).end(part);
      },
      async (url) => assert.equal(await (await open(url)).find("naïve"), 1),
    );
  }
});

test("headers and a signal go with every request", async () => {
  /** @type {(string | undefined)[]} */
  const seen = [];
  const small = await readFile(join(folder, "small.qemb"));
  const aborting = new AbortController();
  await answering(
    (request, response) => {
      seen.push(request.headers.authorization);
      const size = small.length;
      response.writeHead(206, { "content-range": `bytes 0-${size - 1}/${size}` }).end(small);
    },
    async (url) => {
      await open(url, { request: { headers: { authorization: "Bearer x" } } });
      assert.deepEqual(seen, ["Bearer x"]);
      aborting.abort();
      await assert.rejects(open(url, { request: { signal: aborting.signal } }), { name: "AbortError" });
    },
  );
});
