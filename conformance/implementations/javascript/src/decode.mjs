// From codes to vectors (sections 6.3 to 6.5). A number read from a Float32Array is a double; a sum, a difference or a
// product of two such, stored into a Float32Array, is rounded as one operation on float32 is.

import { float16Bits, halvesToFloat32, toFloat32 } from "./bytes.mjs";
import { decodeDecimals } from "./decimal.mjs";
import * as q from "./descriptor.mjs";
import { Rotation } from "./transform.mjs";
import { unpack } from "./unpack.mjs";

/** @typedef {import("./unpack.mjs").Codes} Codes */
/** @typedef {import("./descriptor.mjs").Quantization} Quantization */

/**
 * Raw bytes of sections: of the rows asked for where a section goes by rows, else all of it.
 * @typedef {object} Parts
 * @property {Uint8Array} [levels]
 * @property {Uint8Array} [scales]
 * @property {Uint8Array} [offsets]
 * @property {Uint8Array} [low]
 * @property {Uint8Array[]} high
 * @property {(words: Uint32Array) => void} [exceptions] puts in the values that are kept verbatim, as bits
 */

/** A code past the last rank of a decimal, in a row counted from the first one decoded. */
export class BadCode {
  /** @param {number} row */
  constructor(row) {
    this.row = row;
  }
}

export class Decoder {
  /**
   * @param {Quantization} quantization
   * @param {import("./descriptor.mjs").Transform | undefined} transform
   * @param {number} dim
   */
  constructor(quantization, transform, dim) {
    this.quantization = quantization;
    this.dim = dim;
    this.perRow = q.codesPerRow(quantization, dim);
    this.transform = transform;
    /** Made with the first row that is rotated. @type {Rotation | undefined} */
    this.rotation = undefined;
    /** @type {Float32Array | undefined} */
    this.levels = undefined;
  }

  /** @param {number} rows @param {Parts} parts */
  codes(rows, { low, high }) {
    return unpack(this.quantization, this.perRow, rows, low, high);
  }

  /**
   * @param {number} rows
   * @param {Parts} parts
   * @returns {Float32Array | BadCode} shape (rows, dim)
   */
  decode(rows, parts) {
    const values = new Float32Array(rows * this.dim);
    const codes = this.codes(rows, parts);
    const bad = this.toLevels(codes, values, parts);
    if (bad !== -1) return new BadCode(Math.floor(bad / this.dim));
    const { scaleGroup, scaleType, scaleBlock, offsetGroup, offsetType, offsetBlock } = this.quantization;
    if (parts.scales) scale(values, this.dim, floats(parts.scales, scaleType), scaleGroup, scaleBlock);
    if (parts.offsets) shift(values, this.dim, floats(parts.offsets, offsetType), offsetGroup, offsetBlock);
    parts.exceptions?.(new Uint32Array(values.buffer));
    if (this.transform) (this.rotation ??= new Rotation(this.transform, this.dim)).apply(values);
    return values;
  }

  /**
   * @param {Codes} codes
   * @param {Float32Array} values
   * @param {Parts} parts
   * @returns {number} the place of the first bad code, or -1
   */
  toLevels(codes, values, parts) {
    const { quantization, dim } = this;
    const { level, bits, window = 0, subDim = 0 } = quantization;
    if (level === q.LINEAR || level === q.CODEBOOK) {
      const levels = (this.levels ??= levelsOf(quantization, parts.levels));
      if (level === q.CODEBOOK && window > bits) trellis(quantization, dim, codes, levels, values);
      else for (let i = 0; i < codes.length; i++) values[i] = levels[codes[i]];
    } else if (level === q.PRODUCT) {
      this.levels ??= toFloat32(/** @type {Uint8Array} */ (parts.levels));
      product(bits, subDim, dim, codes, this.levels, values);
    } else if (level === q.DECIMAL) {
      return decodeDecimals(quantization, codes, values);
    } else {
      ieee(quantization, codes, new Uint32Array(values.buffer));
    }
    return -1;
  }
}

/**
 * What each code or state stands for: QEMB-LIN-01, or the int8 of LEVL.
 * @param {Quantization} quantization
 * @param {Uint8Array} [bytes] of LEVL
 */
function levelsOf({ bits, step = 0, bias = 0 }, bytes) {
  if (bytes) return Float32Array.from(new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length));
  const unused = 32 - bits;
  return Float32Array.from({ length: 2 ** bits }, (_, code) => step * ((code << unused) >> unused) - bias);
}

/**
 * Scales or offsets.
 * @param {Uint8Array} bytes
 * @param {number} type
 */
export const floats = (bytes, type) => (type === q.FLOAT16 ? halvesToFloat32(bytes) : toFloat32(bytes));

/**
 * QEMB-COD-01.
 * @param {Quantization} quantization
 * @param {number} dim
 * @param {Codes} codes
 * @param {Float32Array} levels
 * @param {Float32Array} values
 */
function trellis({ bits, window = 0, shift = 0 }, dim, codes, levels, values) {
  const memory = window - bits;
  const top = memory - shift;
  const remembered = 2 ** shift - 1;
  const before = Math.ceil(memory / shift);
  for (let row = 0; row < codes.length; row += dim) {
    let register = 0;
    // a row is a circle, and may be shorter than what the register remembers
    for (let i = before; i > 0; i--) {
      const code = codes[row + ((dim - (i % dim)) % dim)];
      register = (register >> shift) | ((code & remembered) << top);
    }
    for (let i = row; i < row + dim; i++) {
      const code = codes[i];
      values[i] = levels[(code << memory) | register];
      register = (register >> shift) | ((code & remembered) << top);
    }
  }
}

/**
 * QEMB-PRO-01.
 * @param {number} bits
 * @param {number} length of a sub-vector
 * @param {number} dim
 * @param {Codes} codes
 * @param {Float32Array} levels
 * @param {Float32Array} values
 */
function product(bits, length, dim, codes, levels, values) {
  for (let row = 0, i = 0; row < values.length; row += dim) {
    for (let at = 0, sub = 0; at < dim; at += length, sub++, i++) {
      let from = (sub * 2 ** bits + codes[i]) * length;
      for (let j = at; j < Math.min(at + length, dim); j++) values[row + j] = levels[from++];
    }
  }
}

/**
 * QEMB-IEE-01, on bits: a NaN that went through a number might lose its payload.
 * @param {Quantization} quantization
 * @param {Codes} codes
 * @param {Uint32Array} words
 */
function ieee({ format, bits }, codes, words) {
  const top = 2 ** (bits - 1);
  const all = bits === 32 ? 0xffffffff : 0xffff;
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i];
    const word = code >= top ? code - top : all - code;
    words[i] = format === 0 ? word : format === 1 ? float16Bits(word) : word << 16;
  }
}

/**
 * The product of QEMB-SCL-01.
 * @param {Float32Array} values
 * @param {number} dim
 * @param {Float32Array} scales
 * @param {number} group
 * @param {number} block
 */
function scale(values, dim, scales, group, block) {
  if (group === q.COLUMN) {
    for (let row = 0; row < values.length; row += dim) for (let j = 0; j < dim; j++) values[row + j] *= scales[j];
    return;
  }
  for (const { from, to, element } of runs(values.length, dim, group, block)) {
    const factor = scales[element];
    for (let i = from; i < to; i++) values[i] *= factor;
  }
}

/**
 * The sum of QEMB-SCL-01.
 * @param {Float32Array} values
 * @param {number} dim
 * @param {Float32Array} offsets
 * @param {number} group
 * @param {number} block
 */
function shift(values, dim, offsets, group, block) {
  if (group === q.COLUMN) {
    for (let row = 0; row < values.length; row += dim) for (let j = 0; j < dim; j++) values[row + j] += offsets[j];
    return;
  }
  for (const { from, to, element } of runs(values.length, dim, group, block)) {
    const summand = offsets[element];
    for (let i = from; i < to; i++) values[i] += summand;
  }
}

/**
 * Values one after the other that share an element: all of them, rows, or blocks of rows.
 * @param {number} count
 * @param {number} dim
 * @param {number} group
 * @param {number} block
 */
function* runs(count, dim, group, block) {
  const length = group === q.TABLE ? count : group === q.ROW ? dim : block;
  let element = 0;
  for (let from = 0; from < count;) {
    const end = group === q.BLOCK ? from - (from % dim) + dim : count;
    const to = Math.min(from + length, end);
    yield { from, to, element };
    element += 1;
    from = to;
  }
}
