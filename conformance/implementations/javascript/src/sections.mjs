// The raw bytes of a section, from wherever they are: as they stand, or out of zstd frames (section 4).

import { uint64, viewOf } from "./bytes.mjs";
import { crc32c } from "./crc32c.mjs";
import { QembError, tooLarge } from "./errors.mjs";
import { decompress } from "./zstd.mjs";

export const RAW = 0;
export const ZSTD_FRAMES = 1;
const FRAME_ENTRY = 16;
/** Raw bytes that are read at once, at most. */
const READ_LIMIT = 2 ** 30;

/**
 * An entry of the section table.
 * @typedef {object} Entry
 * @property {string} kind
 * @property {number} flags
 * @property {number} codec
 * @property {number} offset
 * @property {number} storedSize
 * @property {number | bigint} rawSize a bigint from 2^53 on, which an unknown section may have
 * @property {number} frameSize
 * @property {number} crc
 */

/**
 * @typedef {object} Frame
 * @property {number} offset in the section
 * @property {number} size
 * @property {number} crc
 */

export class Section {
  /**
   * @param {import("./sources.mjs").Source} source
   * @param {Entry} entry of a known kind
   */
  constructor(source, entry) {
    this.source = source;
    this.entry = entry;
    this.kind = entry.kind;
    this.size = Number(entry.rawSize);
    this.frameCount = entry.codec === ZSTD_FRAMES ? Math.ceil(this.size / entry.frameSize) : 0;
    this.tableAt = entry.storedSize - FRAME_ENTRY * this.frameCount;
    /** The frame asked for last. @type {{number: number, bytes: Promise<Uint8Array>} | undefined} */
    this.latest = undefined;
    /** The first of the stored bytes, as many as have been loaded. @type {Uint8Array | undefined} */
    this.stored = undefined;
  }

  /**
   * @param {string} code
   * @param {string} what
   * @param {number} [at] byte of the section as stored
   */
  error(code, what, at = 0) {
    return new QembError(code, what, { where: this.kind, offset: this.entry.offset + at });
  }

  /**
   * Stored bytes.
   * @param {number} from
   * @param {number} size
   */
  async readStored(from, size) {
    if (this.stored && from + size <= this.stored.length) return this.stored.subarray(from, from + size);
    if (size > READ_LIMIT) throw tooLarge(`${this.kind}, ${size} bytes of it,`);
    return this.source.read(this.entry.offset + from, size);
  }

  /**
   * Raw bytes; to be read, not to be written to.
   * @param {number} from
   * @param {number} size
   * @returns {Promise<Uint8Array>}
   */
  async read(from, size) {
    if (size > READ_LIMIT) throw tooLarge(`${this.kind}, ${size} bytes of it,`);
    if (this.entry.codec === RAW || size === 0) return this.readStored(from, size);
    const { frameSize } = this.entry;
    const first = Math.floor(from / frameSize);
    const last = Math.floor((from + size - 1) / frameSize);
    const start = from - first * frameSize;
    if (first === last) return (await this.readFrame(first)).subarray(start, start + size);
    const bytes = new Uint8Array(size);
    for await (const { number, frame } of this.frames(first, last)) {
      const at = number * frameSize - from;
      bytes.set(frame.subarray(Math.max(-at, 0), size - at), Math.max(at, 0));
    }
    return bytes;
  }

  readAll() {
    return this.read(0, this.size);
  }

  /** @param {number} number */
  readFrame(number) {
    if (this.latest?.number === number) return this.latest.bytes;
    const latest = { number, bytes: this.decodeFrame(number) };
    this.latest = latest;
    latest.bytes.catch(() => {
      if (this.latest === latest) this.latest = undefined;
    });
    return latest.bytes;
  }

  /** @param {number} number */
  async decodeFrame(number) {
    const [entry] = await this.frameEntries(number, number);
    return this.frameContent(number, entry, await this.readStored(entry.offset, entry.size));
  }

  /**
   * Frames one after the other, decompressed and checked.
   * @param {number} first
   * @param {number} last
   */
  async *frames(first, last) {
    const entries = await this.frameEntries(first, last);
    // several frames a read, and no more than a few MiB
    for (let next = 0; next < entries.length;) {
      const from = entries[next].offset;
      let end = next + 1;
      while (end < entries.length && entries[end].offset + entries[end].size - from <= 2 ** 22) end++;
      const stored = await this.readStored(from, entries[end - 1].offset + entries[end - 1].size - from);
      for (; next < end; next++) {
        const { offset, size } = entries[next];
        const bytes = stored.subarray(offset - from, offset - from + size);
        yield { number: first + next, frame: await this.frameContent(first + next, entries[next], bytes) };
      }
    }
  }

  /**
   * @param {number} number
   * @param {Frame} entry
   * @param {Uint8Array} bytes
   */
  async frameContent(number, entry, bytes) {
    if (crc32c(bytes) !== entry.crc) {
      throw this.error("malformed.frame_checksum", `frame ${number} does not match its CRC`, entry.offset);
    }
    const rawSize = Math.min(this.entry.frameSize, this.size - number * this.entry.frameSize);
    if (bytes.length === rawSize) return bytes;
    const content = await decompress(bytes, rawSize);
    if (typeof content === "string") {
      throw this.error("malformed.frame", `frame ${number} ${content}`, entry.offset);
    }
    return content;
  }

  /**
   * Entries of the frame table; each begins where the one before it ends (QEMB-FRM-03).
   * @param {number} first
   * @param {number} last
   * @returns {Promise<Frame[]>}
   */
  async frameEntries(first, last) {
    // with the entry before, which says where the first begins, and the one after, which says where the last ends
    const before = Math.max(first - 1, 0);
    const after = Math.min(last + 1, this.frameCount - 1);
    const view = viewOf(await this.readStored(this.tableAt + before * FRAME_ENTRY, (after - before + 1) * FRAME_ENTRY));
    const entries = [];
    let end = before === 0 ? 0 : undefined;
    for (let number = before; number <= after; number++) {
      const at = (number - before) * FRAME_ENTRY;
      const offset = uint64(view, at);
      const size = view.getUint32(at + 8, true);
      if ((end !== undefined && offset !== end) || offset > this.tableAt || size > this.tableAt - offset) {
        throw this.frameTableError(number);
      }
      end = offset + size;
      if (number >= first && number <= last) entries.push({ offset, size, crc: view.getUint32(at + 12, true) });
    }
    if (after === this.frameCount - 1 && end !== this.tableAt) throw this.frameTableError(after);
    return entries;
  }

  /** @param {number} number */
  frameTableError(number) {
    const what = `frame ${number} does not stand between the one before it and what follows`;
    return this.error("invalid.frame_table", what, this.tableAt + number * FRAME_ENTRY);
  }

  /** All entries are right (QEMB-FRM-03). */
  async checkFrameTable() {
    if (this.frameCount > 0) {
      const step = 2 ** 16;
      for (let first = 0; first < this.frameCount; first += step) {
        await this.frameEntries(first, Math.min(first + step, this.frameCount) - 1);
      }
    } else if (this.entry.storedSize > 0) {
      throw this.error("invalid.frame_table", "there are bytes where there are no frames");
    }
  }

  /** Every frame is right (QEMB-FRM-04, QEMB-FRM-05). */
  async checkFrames() {
    const step = 2 ** 16;
    for (let first = 0; first < this.frameCount; first += step) {
      for await (const _ of this.frames(first, Math.min(first + step, this.frameCount) - 1));
    }
  }

  /**
   * Keep the first stored bytes in memory.
   * @param {number} size
   * @param {(bytes: number) => unknown} [onProgress] called with the size of each piece
   */
  async load(size, onProgress) {
    if (this.stored && this.stored.length >= size) return;
    if (size > READ_LIMIT) throw tooLarge(`${this.kind}, ${size} bytes of it,`);
    const bytes = new Uint8Array(size);
    for (let at = 0; at < size;) {
      const piece = await this.readStored(at, Math.min(2 ** 20, size - at));
      bytes.set(piece, at);
      at += piece.length;
      await onProgress?.(piece.length);
    }
    this.stored = bytes;
  }
}
