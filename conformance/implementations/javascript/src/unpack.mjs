// From bytes to codes (section 6.2).

/** @typedef {Uint8Array | Uint16Array | Uint32Array} Codes */

/** @param {number} bits @param {number} count @returns {Codes} */
const codesOf = (bits, count) =>
  bits <= 8 ? new Uint8Array(count) : bits <= 16 ? new Uint16Array(count) : new Uint32Array(count);

/**
 * The codes of rows.
 * @param {{bits: number, lowBits: number, rowStride: number}} quantization
 * @param {number} perRow codes in a row
 * @param {number} rows
 * @param {Uint8Array | undefined} low their bytes of CODE
 * @param {Uint8Array[]} high their bytes of HIG0 and following
 */
export function unpack({ bits, lowBits, rowStride }, perRow, rows, low, high) {
  const codes = codesOf(bits, rows * perRow);
  if (low) {
    for (let row = 0; row < rows; row++) {
      const bytes = low.subarray(row * rowStride, (row + 1) * rowStride);
      unpackRow(bytes, lowBits, codes.subarray(row * perRow, (row + 1) * perRow));
    }
  }
  const mask = bits === 32 ? -1 : 2 ** bits - 1;
  high.forEach((plane, k) => {
    const shift = lowBits + 8 * k;
    for (let i = 0; i < codes.length; i++) codes[i] |= (plane[i] << shift) & mask;
  });
  return codes;
}

/**
 * @param {Uint8Array} bytes
 * @param {number} bits 1 to 32
 * @param {Codes} codes
 */
function unpackRow(bytes, bits, codes) {
  const count = codes.length;
  if (bits === 8) {
    codes.set(bytes.subarray(0, count));
  } else if (bits === 4) {
    for (let j = 0; j < count; j++) codes[j] = (bytes[j >> 1] >> ((j & 1) << 2)) & 15;
  } else if (bits <= 24) {
    const mask = 2 ** bits - 1;
    let held = 0;
    let heldBits = 0;
    for (let j = 0, at = 0; j < count; j++) {
      for (; heldBits < bits; heldBits += 8) held |= bytes[at++] << heldBits;
      codes[j] = held & mask;
      held >>>= bits;
      heldBits -= bits;
    }
  } else {
    // more than the accumulator holds: bytes by arithmetic, the code from the five that it may touch
    for (let j = 0; j < count; j++) {
      const first = j * bits;
      const from = Math.floor(first / 8);
      const last = Math.floor((first + bits - 1) / 8);
      let value = 0;
      for (let at = last; at >= from; at--) value = value * 256 + bytes[at];
      codes[j] = Math.floor(value / 2 ** (first % 8)) % 2 ** bits;
    }
  }
}
