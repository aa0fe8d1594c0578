// The page. Whatever comes out of a file is text: it is set as such, and never as markup.

import { open, QembError } from "../src/qemb.mjs";
import { count, facts, HOLDS, size } from "./describe.mjs";

/** @typedef {import("../src/qemb.mjs").Embeddings} Embeddings */

/** What is shown of a word, of a value of the metadata, and of a vector; a file may have far more. */
const LONGEST = 80;
const LONGEST_METADATA = 1000;
const MOST_VALUES = 2048;
const NEIGHBOURS = 10;
const EXAMPLES = 8;

/** @type {Embeddings | undefined} */
let emb;
/** The word that is shown, if it has a vector. @type {string | undefined} */
let shown;
/** What is going on belongs to the latest request: answers to earlier ones are dropped. */
let request = 0;
/** Of a file behind a URL, what has been fetched of it. @type {{bytes: number} | undefined} */
let traffic;

/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
/** @param {string} id */
const input = (id) => /** @type {HTMLInputElement} */ (document.getElementById(id));

/**
 * @param {string} name
 * @param {{text?: string, class?: string}} [options]
 * @param {(Node | string)[]} children
 */
function element(name, options = {}, ...children) {
  const made = document.createElement(name);
  if (options.class) made.className = options.class;
  if (options.text !== undefined) made.textContent = options.text;
  made.append(...children);
  return made;
}

/** @param {string} text @param {number} longest */
const shortened = (text, longest) => (text.length > longest ? `${text.slice(0, longest)}…` : text);

/** A word as it is shown. @param {string} word */
const wordElement = (word) => element("bdi", { class: "word", text: shortened(word, LONGEST) || "(the empty word)" });

/** @param {unknown} error */
function showError(error) {
  if (!(error instanceof QembError)) console.error(error);
  const message = error instanceof Error ? error.message : String(error);
  byId("error").replaceChildren(
    element("span", { text: error instanceof QembError ? `${message} (${error.code})` : message }),
  );
  byId("error").hidden = false;
}

/** Only the whole file can be had. @param {string} url */
function offerDownload(url) {
  const button = element("button", { text: "Fetch all of it" });
  button.addEventListener("click", () => void openFile(url, url, true));
  byId("error").replaceChildren(element("span", { text: "This server gives no parts of a file." }), button);
  byId("error").hidden = false;
}

/**
 * Do something for the user; an error is shown, unless something else was asked for since.
 * @param {(current: () => boolean) => Promise<void>} work
 */
async function attempt(work) {
  const own = ++request;
  const current = () => own === request;
  byId("error").hidden = true;
  byId("progress").hidden = true;
  try {
    await work(current);
  } catch (error) {
    if (current()) showError(error);
  }
  if (current()) showTraffic();
}

function showTraffic() {
  if (traffic && emb) byId("status").textContent = `Fetched ${size(traffic.bytes)} of ${size(emb.header.fileSize)}.`;
}

/**
 * @param {Blob | string} from
 * @param {string} name
 * @param {boolean} [download] all of it, from a server that gives no parts
 */
function openFile(from, name, download = false) {
  return attempt(async (current) => {
    byId("opened").hidden = true;
    byId("status").textContent = `Opening ${name} …`;
    void emb?.close();
    emb = undefined;
    const own = { bytes: 0 };
    const onBytes = (/** @type {number} */ arrived) => {
      own.bytes += arrived;
      if (download && current()) byId("status").textContent = `Fetching ${name}: ${size(own.bytes)} …`;
    };
    /** @type {Embeddings} */
    let opened;
    try {
      opened = await open(from, { onBytes, download });
    } catch (error) {
      if (!current()) return;
      byId("status").textContent = "";
      if (error instanceof QembError && error.code === "source.no_ranges") return offerDownload(name);
      throw error;
    }
    if (!current()) return opened.close();
    emb = opened;
    traffic = typeof from === "string" && !download ? own : undefined;
    byId("status").textContent = `Opened ${name}.`;
    showFacts(emb);
    showWord(undefined);
    byId("opened").hidden = false;
    await Promise.all([showExamples(emb, current), showMetadata(emb, current)]);
  });
}

/** @param {Embeddings} file */
function showFacts(file) {
  byId("about").replaceChildren(
    ...facts(file).flatMap(([name, value]) => [element("dt", { text: name }), element("dd", { text: value })]),
  );
  const whole = file.header.fileSize;
  byId("sections").replaceChildren(
    ...file.entries.map(({ kind, codec, storedSize }) => {
      const bar = element("span", { class: "bar" });
      bar.style.width = `${(100 * storedSize) / whole}%`;
      const holds = `${HOLDS[kind] ?? "not known to this reader"}${codec === 1 ? ", compressed" : ""}`;
      return element(
        "tr",
        {},
        element("td", {}, element("code", { text: kind })),
        element("td", { text: holds }),
        element("td", { class: "number", text: count(storedSize) }),
        element("td", { class: "share" }, bar),
      );
    }),
  );
}

/** @param {Embeddings} file @param {() => boolean} current */
async function showMetadata(file, current) {
  byId("metadata").replaceChildren();
  const metadata = await file.metadata();
  if (!metadata || !current()) return;
  const entries = Object.entries(metadata).flatMap(([key, value]) => [
    element("dt", { text: key }),
    element("dd", { text: shortened(typeof value === "string" ? value : JSON.stringify(value), LONGEST_METADATA) }),
  ]);
  byId("metadata").replaceChildren(element("h3", { text: "Metadata" }), element("dl", {}, ...entries));
}

/** @param {Embeddings} file @param {() => boolean} current */
async function showExamples(file, current) {
  byId("examples").replaceChildren();
  const rows = Array.from({ length: Math.min(EXAMPLES, file.length) }, (_, row) => row);
  const words = await Promise.all(rows.map((row) => file.token(row)));
  if (current()) byId("examples").replaceChildren(...words.map(wordButton));
}

/** A word that can be chosen. @param {string} word */
function wordButton(word) {
  const button = element("button", { class: "plain" }, wordElement(word));
  button.addEventListener("click", () => {
    input("word").value = word;
    void lookUp(word);
  });
  return button;
}

/** @param {string} word */
function lookUp(word) {
  return attempt(async (current) => {
    const file = /** @type {Embeddings} */ (emb);
    const row = await file.find(word);
    const vector = await (row === -1 ? file.subwordVector(word) : file.row(row));
    if (!current()) return;
    if (!vector) {
      showWord(undefined);
      byId("result").replaceChildren(element("p", {}, wordElement(word), " is not in this file."));
      return;
    }
    const numbers = Array.from(vector.subarray(0, MOST_VALUES)).join("  ");
    const place = row === -1 ? "no word of the file; made of its n-grams" : `row ${count(row)}`;
    byId("result").replaceChildren(
      element("p", {}, wordElement(word), element("span", { class: "quiet", text: ` ${place}` })),
      bars(vector.subarray(0, MOST_VALUES)),
      element("details", {}, element("summary", { text: numbersOf(vector) }), element("pre", { text: numbers })),
    );
    showWord(word);
  });
}

/** @param {Float32Array} vector */
const numbersOf = ({ length }) =>
  length > MOST_VALUES ? `Numbers, the first ${count(MOST_VALUES)} of ${count(length)}` : "Numbers";

/** What goes with a word: the button for its neighbours. @param {string | undefined} word */
function showWord(word) {
  shown = word;
  byId("list").replaceChildren();
  if (word === undefined) byId("result").replaceChildren();
  byId("nearest").hidden = word === undefined;
  const cost = traffic && emb ? emb.loadSize : 0;
  byId("nearest").textContent = cost ? `Neighbours (fetches ${size(cost)})` : "Neighbours";
}

/** A vector as bars. @param {Float32Array} vector */
function bars(vector) {
  const finite = vector.filter(Number.isFinite);
  const [least, greatest] = finite.reduce(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [0, 0],
  );
  const span = greatest - least || 1;
  const svg = (/** @type {string} */ name, /** @type {Record<string, string | number>} */ attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
    return made;
  };
  const picture = svg("svg", {
    class: "vector",
    viewBox: `0 ${-greatest / span - 0.05} ${vector.length} 1.1`,
    preserveAspectRatio: "none",
    role: "img",
    "aria-label": `${vector.length} values from ${least.toPrecision(3)} to ${greatest.toPrecision(3)}`,
  });
  picture.append(svg("line", { class: "axis", x1: 0, x2: vector.length, y1: 0, y2: 0 }));
  vector.forEach((value, i) => {
    if (!Number.isFinite(value)) return;
    const height = Math.abs(value) / span;
    const y = value > 0 ? -height : 0;
    picture.append(svg("rect", { class: value < 0 ? "negative" : "positive", x: i + 0.1, y, width: 0.8, height }));
  });
  return picture;
}

function showNeighbours() {
  const word = shown;
  const file = emb;
  if (word === undefined || !file) return undefined;
  return attempt(async (current) => {
    byId("nearest").hidden = true;
    byId("progress").hidden = false;
    const onProgress = async (/** @type {number} */ fraction) => {
      if (!current()) throw new QembError("stopped", "stopped");
      /** @type {HTMLProgressElement} */ (byId("bar")).value = fraction;
      showTraffic();
      await new Promise((done) => setTimeout(done)); // so that the page is drawn, and the button can be pressed
    };
    try {
      const from = traffic ? 0.9 : 0.5; // where searching begins
      await file.load((fraction) => onProgress(from * fraction));
      const found = await file.nearest(word, NEIGHBOURS, {
        onProgress: (fraction) => onProgress(from + (1 - from) * fraction),
      });
      if (current()) showList(found ?? []);
    } catch (error) {
      if (current()) byId("nearest").hidden = false;
      throw error;
    } finally {
      if (current()) byId("progress").hidden = true;
    }
  });
}

/** @param {import("../src/qemb.mjs").Neighbour[]} found */
function showList(found) {
  const rows = found.map(({ token, score }) => {
    const bar = element("span", { class: "bar" });
    bar.style.width = `${100 * Math.max(score, 0)}%`;
    return element(
      "tr",
      {},
      element("td", {}, wordButton(token)),
      element("td", { class: "number", text: score.toFixed(3) }),
      element("td", { class: "share" }, bar),
    );
  });
  byId("list").replaceChildren(
    element("h3", { text: "Neighbours by cosine" }),
    rows.length
      ? element("table", {}, element("tbody", {}, ...rows))
      : element("p", { text: "None: the vector has no direction." }),
  );
}

byId("file").addEventListener("change", () => {
  const file = input("file").files?.[0];
  if (file) void openFile(file, file.name);
});
byId("open").addEventListener("submit", (event) => {
  event.preventDefault();
  void openFile(input("url").value.trim(), input("url").value.trim());
});
byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  void lookUp(input("word").value);
});
byId("nearest").addEventListener("click", () => void showNeighbours());
byId("cancel").addEventListener("click", () => {
  request += 1; // what is under way sees that it is no longer wanted
  byId("progress").hidden = true;
  byId("nearest").hidden = false;
});

for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    byId("drop").classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) byId("drop").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  byId("drop").classList.remove("over");
  const file = event.dataTransfer?.files[0];
  if (file) void openFile(file, file.name);
});

const asked = new URLSearchParams(location.search).get("url");
if (asked) {
  input("url").value = asked;
  void openFile(asked, asked);
}
