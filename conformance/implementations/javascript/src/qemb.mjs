// Reads .qemb files; the numbers of requirements are those of spec/qemb.md.

import { toUint64 } from "./bytes.mjs";
import { floats } from "./decode.mjs";
import { FLOAT32, readDescriptor } from "./descriptor.mjs";
import { QembError } from "./errors.mjs";
import { KINDS, readHeader, readTable } from "./header.mjs";
import { HttpSource } from "./http.mjs";
import { checkLimits, LIMITS } from "./limits.mjs";
import { MetadataFault, parseMetadata } from "./metadata.mjs";
import { nearestRows } from "./nearest.mjs";
import { RowReader } from "./rows.mjs";
import { Section } from "./sections.mjs";
import { BlobSource, BytesSource, CachedSource, PathSource } from "./sources.mjs";
import { bucketsOf, meanOf } from "./subwords.mjs";
import { tokenBytes, TokenReader } from "./tokens.mjs";
import { verify } from "./verify.mjs";

export { QembError };

/** @typedef {import("./http.mjs").HttpOptions} HttpOptions */
/** @typedef {import("./limits.mjs").Limits} Limits */
/** @typedef {import("./sections.mjs").Entry} Entry */
/** @typedef {{row: number, token: string, score: number}} Neighbour */
/** @typedef {(fraction: number) => unknown} Progress is waited for where it returns a promise; what it throws ends the work */

/** Of files on disk and of Blobs, at once. */
const BLOCK = 16384;

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * Opens a file and makes the checks of opening. By URL, only the parts that are asked for are fetched.
 * @param {Uint8Array | ArrayBuffer | Blob | URL | string} from bytes; a `File` or another `Blob`; a URL; in Node, a path
 * @param {HttpOptions & {limits?: Limits | null}} [options] for a URL; and what a file may decode to, null for anything
 * @returns {Promise<Embeddings>}
 * @throws {QembError}
 */
export async function open(from, { limits = LIMITS, ...options } = {}) {
  const source = await sourceOf(from, options);
  try {
    return await Embeddings.read(source, limits);
  } catch (error) {
    await source.close();
    throw error;
  }
}

/**
 * @param {Uint8Array | ArrayBuffer | Blob | URL | string} from
 * @param {HttpOptions} options
 * @returns {Promise<import("./sources.mjs").Source>}
 */
async function sourceOf(from, options) {
  if (from instanceof Uint8Array) return new BytesSource(from);
  if (from instanceof ArrayBuffer) return new BytesSource(new Uint8Array(from));
  if (from instanceof Blob) return new CachedSource(new BlobSource(from), BLOCK);
  const url = urlOf(from);
  return url ? HttpSource.open(url, options) : new CachedSource(await PathSource.open(from), BLOCK);
}

/** Where relative URLs start, in a page or a worker; nothing in Node, where a string may be a path. */
const BASE = globalThis.document?.baseURI ?? globalThis.location?.href;

/** @param {string | URL} from @returns {URL | undefined} nothing for a path */
function urlOf(from) {
  if (BASE !== undefined) return new URL(from, BASE);
  if (typeof from === "string") return /^https?:\/\//i.test(from) ? new URL(from) : undefined;
  return from.protocol === "file:" ? undefined : from;
}

/** A vocabulary and its vectors, as they are in a file that is open. */
export class Embeddings {
  /** @param {import("./sources.mjs").Source} source @param {Limits | null} limits */
  static async read(source, limits) {
    const { header, table } = await readHeader(source);
    const entries = readTable(header, table);
    const known = entries.filter((entry) => Object.hasOwn(KINDS, entry.kind));
    /** @type {import("./descriptor.mjs").Sections} */
    const sections = new Map(known.map((entry) => [entry.kind, new Section(source, entry)]));
    const structures = await readDescriptor(header, sections);
    if (limits) checkLimits(header, sections, structures.transform?.rounds ?? 0, limits);
    return new Embeddings(source, header, entries, sections, structures);
  }

  /**
   * @param {import("./sources.mjs").Source} source
   * @param {import("./header.mjs").Header} header
   * @param {Entry[]} entries
   * @param {import("./descriptor.mjs").Sections} sections
   * @param {Awaited<ReturnType<typeof readDescriptor>>} structures
   */
  constructor(source, header, entries, sections, { quantization, transform, subword }) {
    /** @private */
    this.source = source;
    /** @private */
    this.sections = sections;
    /** @private */
    this.reader = new RowReader(header, quantization, transform, sections);
    /** @private */
    this.tokens = new TokenReader(header.tokens, sections);
    this.header = header;
    /** The section table, in file order. */
    this.entries = entries;
    this.quantization = quantization;
    this.transform = transform;
    this.subword = subword;
  }

  /** How many tokens there are. Token i names row i. */
  get length() {
    return this.header.tokens;
  }

  /** How many rows there are: one for each token, then the subword buckets. */
  get rowCount() {
    return this.header.rows;
  }

  get dim() {
    return this.header.dim;
  }

  /** What stands in header, section table and descriptor. */
  get info() {
    const { header, entries: sections, quantization, transform, subword } = this;
    return { header, sections, quantization, transform, subword };
  }

  /** Entries of the sections that this reader knows. */
  get knownSections() {
    return this.entries.filter(({ kind }) => this.sections.has(kind));
  }

  /**
   * The vector of a token; of another word, the one that its n-grams make in a file with subwords.
   * @param {string | Uint8Array} token
   * @returns {Promise<Float32Array | undefined>} shape (dim,); nothing where there is none
   */
  async get(token) {
    const row = await this.find(token);
    return row === -1 ? this.subwordVector(token) : this.row(row);
  }

  /**
   * What the n-grams of a word make (QEMB-SUB-03), whether it is a token or not.
   * @param {string | Uint8Array} word
   * @returns {Promise<Float32Array | undefined>} shape (dim,); nothing where it has none
   */
  async subwordVector(word) {
    const bytes = tokenBytes(word);
    if (!this.subword || !bytes) return undefined;
    const buckets = bucketsOf(bytes, this.subword);
    /** A bucket may stand for many n-grams. @type {Map<number, Float32Array>} */
    const vectors = new Map();
    const read = async (/** @type {number} */ bucket) => vectors.set(bucket, await this.row(this.length + bucket));
    await Promise.all(Array.from(new Set(buckets), read));
    return buckets.length ? meanOf(buckets, vectors) : undefined;
  }

  /** @param {string | Uint8Array} token */
  async has(token) {
    return (await this.find(token)) !== -1;
  }

  /**
   * @param {string | Uint8Array} token
   * @returns {Promise<number>} its row, or -1
   */
  async find(token) {
    const bytes = tokenBytes(token);
    return bytes ? this.tokens.find(bytes) : -1;
  }

  /**
   * A token as text; bytes that are not UTF-8 become U+FFFD.
   * @param {number} row
   */
  async token(row) {
    return decoder.decode(await this.tokenBytes(row));
  }

  /** @param {number} row */
  async tokenBytes(row) {
    checkRange(row, row + 1, this.length);
    return (await this.tokens.read(row)).slice();
  }

  /** The bytes of all tokens: token i is from offset i to offset i + 1. */
  async allTokens() {
    return this.tokens.readAll();
  }

  /** @param {number} row */
  async row(row) {
    return this.rows(row, row + 1);
  }

  /**
   * Vectors one after the other.
   * @param {number} from
   * @param {number} [to] the row after the last
   * @returns {Promise<Float32Array>} shape (to - from, dim)
   */
  async rows(from, to = this.rowCount) {
    checkRange(from, to, this.rowCount);
    return this.reader.read(from, to);
  }

  /** Everything, decoded: shape (rowCount, dim). */
  async matrix() {
    return this.rows(0);
  }

  /**
   * Tokens in the direction of a vector, by cosine. All codes are read: `load` first, to search a URL more than once.
   * @param {string | Uint8Array | Float32Array} query a token, which is left out of the answer, a word, or a vector
   * @param {number} [k]
   * @param {{onProgress?: Progress}} [options]
   * @returns {Promise<Neighbour[] | undefined>} best first; nothing where the word has no vector
   */
  async nearest(query, k = 10, { onProgress } = {}) {
    const isVector = query instanceof Float32Array;
    const except = isVector ? -1 : await this.find(query);
    const vector = isVector ? query : await (except === -1 ? this.subwordVector(query) : this.row(except));
    if (!vector) return undefined;
    if (vector.length !== this.dim) throw new RangeError(`the vector has ${vector.length} values, not ${this.dim}`);
    const found = await nearestRows(this.reader, this.length, vector, k, except, onProgress);
    return Promise.all(found.map(async ({ row, score }) => ({ row, token: await this.token(row), score })));
  }

  /** Bytes that `load` has still to read. */
  get loadSize() {
    const missing = this.reader.stored(this.length).filter(({ section, size }) => (section.stored?.length ?? 0) < size);
    return missing.reduce((sum, { size }) => sum + size, 0);
  }

  /**
   * Read into memory what searching takes: the codes of all tokens, and what decodes them.
   * @param {Progress} [onProgress]
   */
  async load(onProgress) {
    const whole = this.loadSize;
    let done = 0;
    for (const { section, size } of this.reader.stored(this.length)) {
      await section.load(size, (bytes) => onProgress?.((done += bytes) / whole));
    }
  }

  /** @returns {Promise<Record<string, unknown> | undefined>} what META holds, if it is there */
  async metadata() {
    const section = this.sections.get("META");
    if (!section) return undefined;
    const value = parseMetadata(await section.readAll());
    if (value instanceof MetadataFault) throw section.error(value.code, value.what);
    return value;
  }

  /**
   * The raw bytes of a section of this specification.
   * @param {string} kind
   */
  async raw(kind) {
    return (await this.sections.get(kind)?.readAll())?.slice();
  }

  /** @returns {Promise<Float32Array | undefined>} the norms of the rows, if the file has them */
  async norms() {
    const bytes = await this.sections.get("NORM")?.readAll();
    return bytes && floats(bytes, FLOAT32);
  }

  /** @returns {Promise<BigUint64Array | undefined>} how often each token occurs, if the file says it */
  async counts() {
    const bytes = await this.sections.get("CNTS")?.readAll();
    return bytes && toUint64(bytes);
  }

  /**
   * All checks that opening leaves out. Reads everything.
   * @throws {QembError} the first that fails, in the order of the specification
   */
  async verify() {
    const { source, header, entries, sections, quantization, reader: rows, tokens } = this;
    await verify({ source, header, entries, sections, quantization, rows, tokens });
  }

  async close() {
    await this.source.close();
  }
}

/** @param {number} from @param {number} to @param {number} count */
function checkRange(from, to, count) {
  if (!(Number.isInteger(from) && Number.isInteger(to) && from >= 0 && from <= to && to <= count)) {
    throw new RangeError(`rows ${from} to ${to} are not within 0 to ${count}`);
  }
}
