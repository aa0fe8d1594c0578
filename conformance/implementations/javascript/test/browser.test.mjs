import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { serve } from "../page/serve.mjs";
import { open } from "../src/qemb.mjs";
import { buildLinear, randomTable } from "./build.mjs";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const ARGUMENTS =
  "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync";
/** A folder for pictures of the page, to be looked at. */
const PICTURES = process.env.QEMB_PICTURES;
const BUDGET = 65536;
const HOSTILE = '<img src="x" onerror="document.title=1">';
const ZSTD_CASES = fileURLToPath(new URL("../../../valid/zstd/", import.meta.url));

/** @typedef {import("playwright-core").Page} Page */

/** @type {string} */
let folder;
/** @type {import("playwright-core").Browser} */
let browser;
/** A real table where there is one, with words of it. */
let large = { path: process.env.QEMB_TABLE ?? "", words: ["word17", "word150000"] };
/** @type {Record<string, string>} */
let files;

const skip = existsSync(CHROMIUM) ? false : `needs ${CHROMIUM}`;

before(async () => {
  if (skip) return;
  folder = await mkdtemp(join(tmpdir(), "qemb-"));
  if (large.path) large.words = JSON.parse(process.env.QEMB_TABLE_WORDS ?? "[]");
  else await writeFile((large.path = join(folder, "large.qemb")), randomTable(200000, 200).bytes);
  await writeFile(join(folder, "hostile.qemb"), hostile());
  await writeFile(join(folder, "bad.qemb"), (await readFile(join(folder, "hostile.qemb"))).fill(0, 60, 64));
  files = { "large.qemb": large.path };
  for (const name of ["hostile.qemb", "bad.qemb"]) files[name] = join(folder, name);
  const { chromium } = await import("playwright-core");
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGUMENTS.split(" ") });
});

after(async () => {
  if (skip) return;
  await browser?.close();
  await rm(folder, { recursive: true });
});

/** Words that would like to be markup, long, empty, or written from right to left. */
function hostile() {
  const words = [HOSTILE, "", "\u202eevil", "a".repeat(65536), "naïve\u00a0word", "</td>"];
  const codes = Int8Array.from({ length: 3 * words.length }, (_, i) => 10 * (i % 7) - 20);
  return buildLinear(words, codes, new Float32Array(words.length).fill(0.5));
}

/**
 * A page, on which nothing may go wrong that it does not tell of.
 * @param {(page: Page, server: import("../page/serve.mjs").Served) => Promise<void>} use
 * @param {{ranges?: boolean, width?: number, scheme?: "light" | "dark", query?: string}} [options]
 */
async function onPage(use, { ranges = true, width = 1200, scheme = "light", query = "" } = {}) {
  const server = await serve({ files, ranges });
  const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme: scheme });
  /** @type {string[]} */
  const complaints = [];
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  try {
    await page.goto(`${server.url}page/${query}`);
    await use(page, server);
    assert.deepEqual(complaints, []);
  } finally {
    await page.close();
    await server.close();
  }
}

/** @param {import("../page/serve.mjs").Served} server */
const fetched = ({ log }) => log.reduce((sum, { path, bytes }) => sum + (path.startsWith("/files/") ? bytes : 0), 0);

/** @param {Page} page @param {string} word */
async function lookUp(page, word) {
  await page.getByLabel("Word", { exact: true }).fill(word);
  await page.getByRole("button", { name: "Look up" }).click();
}

/** @param {Page} page @param {string} url */
async function openUrl(page, url) {
  await page.getByLabel("or a URL").fill(url);
  await page.getByRole("button", { name: "Open" }).click();
}

test("the reader finds the same bits in the browser, and fetches as little", { skip }, async (context) => {
  const emb = await open(large.path);
  await onPage(async (page, server) => {
    for (const word of large.words) {
      server.log.length = 0;
      const bits = await page.evaluate(async (wanted) => {
        const { open: openIn } = await import(/** @type {string} */ ("/src/qemb.mjs"));
        const vector = await (await openIn("/files/large.qemb")).get(wanted);
        return Array.from(new Uint32Array(vector.buffer));
      }, word);
      const expected = /** @type {Float32Array} */ (await emb.get(word));
      assert.deepEqual(bits, Array.from(new Uint32Array(expected.slice().buffer)));
      context.diagnostic(`"${word}" of ${emb.header.fileSize} bytes: ${fetched(server)} bytes fetched`);
      assert.ok(emb.header.fileSize > 40e6 && fetched(server) < BUDGET);
    }
  });
  await emb.close();
});

test("a word of a URL: its vector, then its neighbours once their price is known", { skip }, async (context) => {
  const emb = await open(large.path);
  const [word] = large.words;
  for (const [scheme, width] of /** @type {const} */ ([
    ["light", 1200],
    ["dark", 1200],
    ["light", 360],
    ["dark", 360],
  ])) {
    await onPage(
      async (page, server) => {
        await page.getByRole("heading", { name: "The file" }).waitFor();
        await lookUp(page, word);
        await page.getByRole("img").waitFor();
        assert.match(
          (await page.getByRole("img").getAttribute("aria-label")) ?? "",
          new RegExp(`^${emb.dim} values from -`),
        );
        assert.match(await page.locator("#result").innerText(), new RegExp(`^${word} row [\\d,]+`));
        assert.ok(fetched(server) < BUDGET);
        context.diagnostic(`page, first words and "${word}": ${fetched(server)} bytes fetched`);
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing sticks out");
        if (scheme === "light" && width === 1200) {
          const before = fetched(server);
          await page.getByRole("button", { name: /^Neighbours \(fetches [\d.]+ MB\)$/ }).click();
          await page.getByRole("heading", { name: "Neighbours by cosine" }).waitFor();
          const shown = await page.locator("#list bdi").allTextContents();
          assert.deepEqual(
            shown,
            (await emb.nearest(word, 10))?.map(({ token }) => token),
          );
          assert.ok(fetched(server) - before < emb.loadSize + BUDGET);
          await page.locator("#list button").first().click();
          await page.getByText(shown[0], { exact: true }).first().waitFor();
          await page.getByRole("button", { name: "Neighbours", exact: true }).waitFor();
        }
        if (PICTURES) await page.screenshot({ path: join(PICTURES, `${scheme}-${width}.png`), fullPage: true });
      },
      { scheme, width, query: "?url=/files/large.qemb" },
    );
  }
  await emb.close();
});

test("reading the codes can be stopped, and begun again", { skip }, async () => {
  await onPage(
    async (page) => {
      await page.getByRole("heading", { name: "The file" }).waitFor();
      await lookUp(page, large.words[0]);
      await page.getByRole("img").waitFor();
      await page.evaluate(() => {
        // before the first piece is in
        document.getElementById("nearest")?.click();
        document.getElementById("cancel")?.click();
      });
      await page.getByRole("button", { name: /^Neighbours/ }).click();
      await page.getByRole("heading", { name: "Neighbours by cosine" }).waitFor();
    },
    { query: "?url=/files/large.qemb" },
  );
});

test("what comes out of a file is shown as text", { skip }, async () => {
  await onPage(
    async (page) => {
      await page.getByRole("heading", { name: "The file" }).waitFor();
      await page.getByRole("button", { name: HOSTILE }).click();
      await page.getByText("row 0").waitFor();
      await page.getByRole("button", { name: "Neighbours" }).click();
      await page.getByRole("heading", { name: "Neighbours by cosine" }).waitFor();
      assert.equal(await page.locator("main img, #list td td").count(), 0);
      assert.match(await page.title(), /^qemb/);
      const words = await page.locator("#examples bdi").allTextContents();
      assert.deepEqual(words, [
        HOSTILE,
        "(the empty word)",
        "\u202eevil",
        `${"a".repeat(80)}…`,
        "naïve\u00a0word",
        "</td>",
      ]);
      await lookUp(page, `<b>${HOSTILE}</b>`);
      await page.getByText("is not in this file").waitFor();
      assert.equal(await page.locator("#result b, #result img").count(), 0);
      if (PICTURES) await page.screenshot({ path: join(PICTURES, "hostile.png"), fullPage: true });
    },
    { query: "?url=/files/hostile.qemb" },
  );
});

test("a file is opened by the picker and by dropping it, compressed ones too", { skip }, async () => {
  const name = (await readdir(ZSTD_CASES)).find((entry) => entry.endsWith(".qemb")) ?? "";
  const bytes = await readFile(join(ZSTD_CASES, name));
  const emb = await open(new Uint8Array(bytes));
  await onPage(async (page) => {
    await page.locator("#file").setInputFiles(join(ZSTD_CASES, name));
    await page.getByText(`Opened ${name}.`).waitFor();
    await lookUp(page, await emb.token(0));
    await page.getByText("row 0").waitFor();
    await page.getByText("Numbers").click();
    assert.equal(await page.locator("#result pre").innerText(), Array.from(await emb.row(0)).join("  "));
    const transfer = await page.evaluateHandle((content) => {
      const data = new DataTransfer();
      data.items.add(new File([Uint8Array.from(content)], "dropped.qemb"));
      return data;
    }, Array.from(hostile()));
    await page.dispatchEvent("#drop", "drop", { dataTransfer: transfer });
    await page.getByText("Opened dropped.qemb.").waitFor();
  });
});

test("errors are one line each, and gone with the next request", { skip }, async () => {
  await onPage(async (page) => {
    const error = page.getByRole("alert");
    await page.locator("#file").setInputFiles(join(folder, "bad.qemb"));
    await page.getByText("(malformed.header_checksum)").waitFor();
    assert.equal(
      await error.innerText(),
      "header, byte 60: the header does not match its CRC: the file is damaged (malformed.header_checksum)",
    );
    await openUrl(page, "/files/hostile.qemb");
    await page.getByRole("heading", { name: "The file" }).waitFor();
    assert.equal(await error.isVisible(), false);
  });
});

test("a server without ranges: the page offers to fetch the whole file", { skip }, async () => {
  await onPage(
    async (page, server) => {
      await page.getByText("This server gives no parts of a file.").waitFor();
      assert.ok(fetched(server) < 40e6);
      await page.getByRole("button", { name: "Fetch all of it" }).click();
      await page.getByRole("heading", { name: "The file" }).waitFor();
      await lookUp(page, large.words[0]);
      await page.getByRole("img").waitFor();
      await page.getByRole("button", { name: "Neighbours", exact: true }).waitFor();
    },
    { ranges: false, query: "?url=/files/large.qemb" },
  );
});

test("a file of another origin is opened without asking leave for each request", { skip }, async () => {
  await onPage(async (page, server) => {
    const other = await serve({ files, origin: server.url.slice(0, -1) });
    try {
      await openUrl(page, `${other.url}files/large.qemb`);
      await page.getByRole("heading", { name: "The file" }).waitFor();
      await lookUp(page, large.words[0]);
      await page.getByRole("img").waitFor();
      assert.deepEqual(new Set(other.log.map(({ method }) => method)), new Set(["GET", "HEAD"]));
      assert.ok(fetched(other) < BUDGET);
    } finally {
      await other.close();
    }
  });
});
