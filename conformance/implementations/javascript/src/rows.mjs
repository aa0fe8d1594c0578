// Vectors, wherever their sections are.

import { uint64, viewOf } from "./bytes.mjs";
import { BadCode, Decoder } from "./decode.mjs";
import { BLOCK, DECIMAL, EXCEPTION_SIZE, FLOAT16, ROW, highParts } from "./descriptor.mjs";
import { tooLarge } from "./errors.mjs";
import { RAW } from "./sections.mjs";

/** Values, and bytes of a row, that are decoded at once. */
const CHUNK = 2 ** 20;
/** Values in one array: the largest ArrayBuffer that every browser gives holds 2^31 bytes. */
const MAX_VALUES = 2 ** 29 - 1;

/** @typedef {import("./sections.mjs").Section} Section */

export class RowReader {
  /**
   * @param {import("./header.mjs").Header} header
   * @param {import("./descriptor.mjs").Quantization} quantization
   * @param {import("./descriptor.mjs").Transform | undefined} transform
   * @param {import("./descriptor.mjs").Sections} sections
   */
  constructor({ rows, dim }, quantization, transform, sections) {
    this.count = rows;
    this.dim = dim;
    this.quantization = quantization;
    this.sections = sections;
    this.decoder = new Decoder(quantization, transform, dim);
    this.exceptions = quantization.level === DECIMAL ? sections.get("EXCP") : undefined;
    this.chunk = Math.max(1, Math.floor(CHUNK / Math.max(dim, quantization.rowStride)));
    const high = Array.from({ length: highParts(quantization) }, (_, k) => `HIG${k}`);
    this.high = /** @type {Section[]} */ (high.map((kind) => sections.get(kind)));
    /** Sections that go by no rows, once they have been read. @type {Map<string, Promise<Uint8Array>>} */
    this.shared = new Map();
  }

  /**
   * The stored bytes, from the first, that decoding the first rows takes of each section.
   * @param {number} rows
   */
  stored(rows) {
    const kinds = ["LEVL", "SCAL", "OFFS", "CODE", "HIG0", "HIG1", "HIG2", "HIG3", "EXCP"];
    const sections = /** @type {Section[]} */ (kinds.map((kind) => this.sections.get(kind)).filter(Boolean));
    return sections.map((section) => {
      const rowSize = section.entry.codec === RAW ? this.rowSize(section.kind) : 0;
      return { section, size: rowSize ? rows * rowSize : section.entry.storedSize };
    });
  }

  /**
   * Raw bytes of a row; 0 where a section does not go by rows.
   * @param {string} kind
   */
  rowSize(kind) {
    const { rowStride, scaleGroup, scaleType, scaleBlock, offsetGroup, offsetType, offsetBlock } = this.quantization;
    if (kind === "CODE") return rowStride;
    if (kind === "SCAL") return this.elementSize(scaleGroup, scaleType, scaleBlock);
    if (kind === "OFFS") return this.elementSize(offsetGroup, offsetType, offsetBlock);
    return kind.startsWith("HIG") ? this.decoder.perRow : 0;
  }

  /** @param {number} group @param {number} type @param {number} block */
  elementSize(group, type, block) {
    if (group !== ROW && group !== BLOCK) return 0;
    return (type === FLOAT16 ? 2 : 4) * (group === ROW ? 1 : Math.ceil(this.dim / block));
  }

  /**
   * @param {number} from
   * @param {number} to
   * @returns {Promise<Float32Array>} shape (to - from, dim)
   */
  async read(from, to) {
    if ((to - from) * this.dim > MAX_VALUES) throw tooLarge(`${to - from} rows of ${this.dim} values, decoded,`);
    if (to - from <= this.chunk) return this.decode(from, to);
    const values = new Uint32Array((to - from) * this.dim); // bits, so that every NaN stays what it is
    for await (const chunk of this.chunks(from, to)) {
      values.set(new Uint32Array(chunk.values.buffer), (chunk.from - from) * this.dim);
    }
    return new Float32Array(values.buffer);
  }

  /**
   * Runs of rows, a few MiB each.
   * @param {number} from
   * @param {number} to
   */
  async *chunks(from, to) {
    for (let start = from; start < to; start += this.chunk) {
      const end = Math.min(start + this.chunk, to);
      yield { from: start, to: end, values: await this.decode(start, end) };
    }
  }

  /**
   * Codes of rows, for those who check them.
   * @param {number} from
   * @param {number} to
   */
  async codes(from, to) {
    return this.decoder.codes(to - from, { low: await this.part("CODE", from, to), high: await this.highs(from, to) });
  }

  /**
   * What rows need of a section, if it is there: their part of it, or all.
   * @param {string} kind
   * @param {number} from
   * @param {number} to
   */
  part(kind, from, to) {
    const size = this.rowSize(kind);
    return size ? this.sections.get(kind)?.read(from * size, (to - from) * size) : this.whole(kind);
  }

  /** @param {number} from @param {number} to */
  highs(from, to) {
    const { perRow } = this.decoder;
    return Promise.all(this.high.map((section) => section.read(from * perRow, (to - from) * perRow)));
  }

  /** @param {number} from @param {number} to */
  async decode(from, to) {
    const [levels, scales, offsets, low, high, exceptions] = await Promise.all([
      this.whole("LEVL"),
      this.part("SCAL", from, to),
      this.part("OFFS", from, to),
      this.part("CODE", from, to),
      this.highs(from, to),
      this.exceptions && this.readExceptions(this.exceptions, from, to),
    ]);
    const values = this.decoder.decode(to - from, { levels, scales, offsets, low, high, exceptions });
    if (values instanceof BadCode) {
      const section = this.sections.get("CODE") ?? this.high[0];
      throw section.error("invalid.code", `row ${from + values.row} has a code past the last rank`);
    }
    return values;
  }

  /**
   * A section that does not grow with the rows, kept once it has been read.
   * @param {string} kind
   */
  whole(kind) {
    const section = this.sections.get(kind);
    if (!section) return undefined;
    let bytes = this.shared.get(kind);
    if (bytes === undefined) {
      bytes = section.readAll();
      this.shared.set(kind, bytes);
      bytes.catch(() => this.shared.delete(kind));
    }
    return bytes;
  }

  /**
   * What puts the exceptions of rows into their bits (QEMB-DEC-02).
   * @param {Section} section
   * @param {number} from
   * @param {number} to
   */
  async readExceptions(section, from, to) {
    const start = from * this.dim;
    const first = await this.exceptionsBefore(section, start);
    const end = await this.exceptionsBefore(section, to * this.dim);
    const bytes = await section.read(first * EXCEPTION_SIZE, Math.max(end - first, 0) * EXCEPTION_SIZE);
    const view = viewOf(bytes);
    return (/** @type {Uint32Array} */ words) => {
      for (let at = 0; at < bytes.length; at += EXCEPTION_SIZE) {
        // one that stands out of order, in a file that nobody verified, lands nowhere
        words[uint64(view, at) - start] = view.getUint32(at + 8, true);
      }
    };
  }

  /**
   * How many exceptions stand before a position.
   * @param {Section} section
   * @param {number} position
   */
  async exceptionsBefore(section, position) {
    let low = 0;
    let high = section.size / EXCEPTION_SIZE;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const at = uint64(viewOf(await section.read(middle * EXCEPTION_SIZE, 8)), 0);
      if (at < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
