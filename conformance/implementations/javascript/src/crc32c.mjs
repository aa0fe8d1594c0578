// CRC-32C, eight bytes at a time: table k holds what a byte does to the CRC after k more bytes.

const TABLES = Array.from({ length: 8 }, () => new Uint32Array(256));
const [T0, T1, T2, T3, T4, T5, T6, T7] = TABLES;
for (let byte = 0; byte < 256; byte++) {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? 0x82f63b78 : 0);
  TABLES[0][byte] = value;
}
for (let k = 1; k < 8; k++) {
  for (let byte = 0; byte < 256; byte++) {
    const value = TABLES[k - 1][byte];
    TABLES[k][byte] = (value >>> 8) ^ TABLES[0][value & 255];
  }
}

/**
 * @param {Uint8Array} bytes
 * @param {number} [crc] of the bytes before these
 * @returns {number} an unsigned integer of 32 bits
 */
export function crc32c(bytes, crc = 0) {
  let value = ~crc;
  let at = 0;
  for (const end = bytes.length - 7; at < end; at += 8) {
    value =
      T7[bytes[at] ^ (value & 255)] ^
      T6[bytes[at + 1] ^ ((value >>> 8) & 255)] ^
      T5[bytes[at + 2] ^ ((value >>> 16) & 255)] ^
      T4[bytes[at + 3] ^ (value >>> 24)] ^
      T3[bytes[at + 4]] ^
      T2[bytes[at + 5]] ^
      T1[bytes[at + 6]] ^
      T0[bytes[at + 7]];
  }
  for (; at < bytes.length; at++) value = (value >>> 8) ^ T0[(value ^ bytes[at]) & 255];
  return ~value >>> 0;
}
