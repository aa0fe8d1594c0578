// Tokens and the search for them (sections 7.1 and 7.2).

import { toUint32, uint64, viewOf } from "./bytes.mjs";
import { crc32c } from "./crc32c.mjs";
import { tokenOffsetSize } from "./descriptor.mjs";
import { tooLarge } from "./errors.mjs";

const MAX_TOKEN = 65536;
const EMPTY = 0xffffffff;
/** Slots that are read at once, and tokens that are looked at at once: a search looks at two on average. */
const WINDOW = 16;
const AT_ONCE = 4;

const encoder = new TextEncoder();

/**
 * The bytes of a token; none where a string is no Unicode text, since no token can be meant.
 * @param {string | Uint8Array} token
 */
export function tokenBytes(token) {
  if (typeof token !== "string") return token;
  return /\p{Surrogate}/u.test(token) ? undefined : encoder.encode(token);
}

/**
 * Where the search for a token begins: floor(crc x slots / 2^32), and no product passes 2^53.
 * @param {number} crc
 * @param {number} slots
 */
export function homeSlot(crc, slots) {
  return Math.floor(((crc >>> 16) * slots + Math.floor(((crc & 0xffff) * slots) / 65536)) / 65536);
}

/** @param {Uint8Array} a @param {Uint8Array} b */
function equal(a, b) {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Tokens where they are in the file. */
export class TokenReader {
  /**
   * @param {number} count
   * @param {import("./descriptor.mjs").Sections} sections
   */
  constructor(count, sections) {
    this.count = count;
    this.offsets = /** @type {import("./sections.mjs").Section} */ (sections.get("TOKO"));
    this.bytes = /** @type {import("./sections.mjs").Section} */ (sections.get("TOKB"));
    this.index = sections.get("INDX");
    this.offsetSize = tokenOffsetSize(sections);
    /** Made for a file without an index, with the first search. @type {Promise<TokenTable> | undefined} */
    this.table = undefined;
  }

  /**
   * Offsets of tokens and the one after the last of them, checked (QEMB-TOK-01, QEMB-TOK-02).
   * @param {number} from
   * @param {number} to
   * @returns {Promise<Float64Array>} `to` - `from` + 1 of them
   */
  async readOffsets(from, to) {
    const offsets = await this.loadOffsets(from, to);
    this.checkOffsets(offsets, from);
    return offsets;
  }

  /** The same as they stand. @param {number} from @param {number} to */
  async loadOffsets(from, to) {
    const size = this.offsetSize;
    const bytes = await this.offsets.read(from * size, (to - from + 1) * size);
    return size === 4 ? Float64Array.from(toUint32(bytes)) : wide(bytes);
  }

  /** @param {Float64Array} offsets @param {number} from */
  checkOffsets(offsets, from) {
    for (let i = 1; i < offsets.length; i++) {
      if (offsets[i] < offsets[i - 1] || offsets[i] > this.bytes.size) {
        throw this.error(
          "invalid.token_offsets",
          `token ${from + i - 1} is of bytes ${offsets[i - 1]} to ${offsets[i]}`,
          from + i,
        );
      }
      if (offsets[i] - offsets[i - 1] > MAX_TOKEN) {
        throw this.error(
          "invalid.token_length",
          `token ${from + i - 1} has ${offsets[i] - offsets[i - 1]} bytes`,
          from + i,
        );
      }
    }
  }

  /** @param {string} code @param {string} what @param {number} number of the offset */
  error(code, what, number) {
    return this.offsets.error(code, what, number * this.offsetSize);
  }

  /** @param {number} row */
  async read(row) {
    const [from, to] = await this.readOffsets(row, row + 1);
    return this.bytes.read(from, to - from);
  }

  /** All of them. */
  async readAll() {
    if (this.count > 2 ** 27) throw tooLarge(`${this.count} tokens`);
    const offsets = await this.loadOffsets(0, this.count);
    const last = offsets[this.count];
    if (offsets[0] !== 0) throw this.error("invalid.token_offsets", `the first token begins at ${offsets[0]}`, 0);
    if (last !== this.bytes.size) {
      throw this.error(
        "invalid.token_offsets",
        `the last token ends at ${last} of ${this.bytes.size} bytes`,
        this.count,
      );
    }
    this.checkOffsets(offsets, 0);
    return { offsets, bytes: await this.bytes.readAll() };
  }

  /**
   * @param {Uint8Array} token
   * @returns {Promise<number>} its row, or -1
   */
  async find(token) {
    if (token.length > MAX_TOKEN) return -1;
    if (this.index) return this.search(token, this.index);
    const table = (this.table ??= this.makeTable());
    table.catch(() => (this.table = undefined));
    return (await table).find(token);
  }

  async makeTable() {
    const { offsets, bytes } = await this.readAll();
    const table = new TokenTable(offsets, bytes);
    for (let row = 0; row < this.count; row++) table.add(row);
    return table;
  }

  /**
   * @param {Uint8Array} token
   * @param {import("./sections.mjs").Section} index
   */
  async search(token, index) {
    const slots = index.size / 4;
    let slot = homeSlot(crc32c(token), slots);
    // an index that holds each token once has an empty slot by then
    for (let seen = 0; seen <= this.count;) {
      const count = Math.min(WINDOW, slots - slot);
      let rows = [...toUint32(await index.read(4 * slot, 4 * count))];
      const end = rows.indexOf(EMPTY);
      if (end !== -1) rows = rows.slice(0, end);
      for (let next = 0; next < rows.length; next += AT_ONCE) {
        const found = await this.firstEqual(token, rows.slice(next, next + AT_ONCE), index, slot + next);
        if (found !== -1) return found;
      }
      if (end !== -1) return -1;
      seen += count;
      slot = (slot + count) % slots;
    }
    throw index.error("invalid.index", "more slots are taken than there are tokens");
  }

  /**
   * @param {Uint8Array} token
   * @param {number[]} rows
   * @param {import("./sections.mjs").Section} index
   * @param {number} slot of the first of them
   */
  async firstEqual(token, rows, index, slot) {
    const equals = await Promise.all(
      rows.map(async (row, i) => {
        if (row >= this.count) throw index.error("invalid.index", `slot ${slot + i} holds row ${row}`, 4 * (slot + i));
        const [from, to] = await this.readOffsets(row, row + 1);
        return to - from === token.length && equal(await this.bytes.read(from, to - from), token);
      }),
    );
    const place = equals.indexOf(true);
    return place === -1 ? -1 : rows[place];
  }
}

/** @param {Uint8Array} bytes */
function wide(bytes) {
  const view = viewOf(bytes);
  return Float64Array.from({ length: bytes.length / 8 }, (_, i) => uint64(view, 8 * i));
}

/** A hash table of tokens in memory. */
export class TokenTable {
  /**
   * @param {Float64Array} offsets
   * @param {Uint8Array} bytes
   */
  constructor(offsets, bytes) {
    this.offsets = offsets;
    this.bytes = bytes;
    const count = offsets.length - 1;
    this.slots = new Uint32Array(count + Math.floor(count / 2) + 1).fill(EMPTY);
  }

  /** @param {number} row */
  token(row) {
    return this.bytes.subarray(this.offsets[row], this.offsets[row + 1]);
  }

  /** The slot that a token stands in, or the empty one where its search ends. @param {Uint8Array} token */
  slotOf(token) {
    let slot = homeSlot(crc32c(token), this.slots.length);
    while (this.slots[slot] !== EMPTY && !equal(this.token(this.slots[slot]), token)) {
      slot = slot + 1 === this.slots.length ? 0 : slot + 1;
    }
    return slot;
  }

  /** @param {number} row @returns {boolean} whether the token is new */
  add(row) {
    const slot = this.slotOf(this.token(row));
    if (this.slots[slot] !== EMPTY) return false;
    this.slots[slot] = row;
    return true;
  }

  /** @param {Uint8Array} token */
  find(token) {
    const row = this.slots[this.slotOf(token)];
    return row === EMPTY ? -1 : row;
  }
}
