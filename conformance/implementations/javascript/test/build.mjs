// .qemb files put together from the specification, for tests that need a large one at once, or one of a kind.

import { crc32c } from "../src/crc32c.mjs";
import { homeSlot } from "../src/tokens.mjs";

/** @typedef {[kind: string, flags: number, bytes: ArrayBufferView]} Part of a file: a section */

/** @param {ArrayBufferView} view */
const bytesOf = ({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength);

/**
 * @param {string[]} tokens
 * @param {Int8Array} codes linear, of 8 bits: shape (tokens.length, dim)
 * @param {Float32Array} scales by row
 * @param {number} [frameSize] sections are in frames of so many bytes, stored as they are
 */
export function buildLinear(tokens, codes, scales, frameSize = 0) {
  const dim = codes.length / tokens.length;
  const descriptor = Buffer.alloc(28);
  descriptor.set([0, 8, 8, 0, 2, 1]); // linear, 8 bits, scales by row in float32
  descriptor.writeUInt32LE(dim, 16);
  descriptor.writeInt32LE(1, 20);
  /** @type {Part[]} */
  const parts = [["QUAN", 1, descriptor], ["CODE", 1, codes], ["SCAL", 1, scales], ...tokenParts(tokens)];
  return assemble(parts, tokens.length, dim, frameSize);
}

/**
 * Token offsets, token bytes, index.
 * @param {string[]} tokens
 * @returns {Part[]}
 */
export function tokenParts(tokens) {
  const encoded = tokens.map((token) => Buffer.from(token));
  const offsets = new Uint32Array(tokens.length + 1);
  encoded.forEach((token, i) => (offsets[i + 1] = offsets[i] + token.length));
  const slots = new Uint32Array(tokens.length + Math.floor(tokens.length / 2) + 1).fill(0xffffffff);
  encoded.forEach((token, row) => {
    let slot = homeSlot(crc32c(token), slots.length);
    while (slots[slot] !== 0xffffffff) slot = (slot + 1) % slots.length;
    slots[slot] = row;
  });
  return [
    ["TOKO", 1, offsets],
    ["TOKB", 1, Buffer.concat(encoded)],
    ["INDX", 0, slots],
  ];
}

/**
 * Frames stored as they are, and their table.
 * @param {Uint8Array} bytes
 * @param {number} frameSize
 */
function framed(bytes, frameSize) {
  const count = Math.ceil(bytes.length / frameSize);
  const table = Buffer.alloc(16 * count);
  for (let i = 0; i < count; i++) {
    const frame = bytes.subarray(i * frameSize, (i + 1) * frameSize);
    table.writeBigUInt64LE(BigInt(i * frameSize), 16 * i);
    table.writeUInt32LE(frame.length, 16 * i + 8);
    table.writeUInt32LE(crc32c(frame), 16 * i + 12);
  }
  return Buffer.concat([bytes, table]);
}

/**
 * @param {Part[]} parts
 * @param {number} rows
 * @param {number} dim
 * @param {number} [frameSize] of sections other than structures
 * @returns {Uint8Array}
 */
export function assemble(parts, rows, dim, frameSize = 0) {
  const table = Buffer.alloc(40 * parts.length);
  let end = 64 + table.length;
  const placed = parts.map(([kind, flags, content], i) => {
    const raw = bytesOf(content);
    const frames = ["QUAN", "TRNS", "SUBW"].includes(kind) ? 0 : frameSize;
    const stored = frames ? framed(raw, frames) : raw;
    const start = Math.ceil(end / 64) * 64;
    end = start + stored.length;
    const entry = table.subarray(40 * i);
    entry.write(kind, "latin1");
    entry.writeUInt16LE(flags, 4);
    entry.writeUInt16LE(frames ? 1 : 0, 6);
    entry.writeBigUInt64LE(BigInt(start), 8);
    entry.writeBigUInt64LE(BigInt(stored.length), 16);
    entry.writeBigUInt64LE(BigInt(raw.length), 24);
    entry.writeUInt32LE(frames, 32);
    entry.writeUInt32LE(crc32c(stored), 36);
    return { start, stored };
  });
  const file = Buffer.alloc(end);
  file.set([0x89, 0x51, 0x45, 0x4d, 0x42, 0x0d, 0x0a, 0x1a, 1]);
  file.writeUInt32LE(parts.length, 12);
  file.writeBigUInt64LE(BigInt(rows), 24);
  file.writeBigUInt64LE(BigInt(rows), 32);
  file.writeBigUInt64LE(BigInt(end), 40);
  file.writeUInt32LE(dim, 48);
  file.writeUInt32LE(64, 52);
  file.writeUInt32LE(crc32c(table), 56);
  file.writeUInt32LE(crc32c(file.subarray(0, 60)), 60);
  file.set(table, 64);
  for (const { start, stored } of placed) file.set(stored, start);
  return file;
}

/**
 * A table of random codes: 200,000 rows of 200 values are 40 MB and more.
 * @param {number} count
 * @param {number} dim
 */
export function randomTable(count, dim) {
  const tokens = Array.from({ length: count }, (_, i) => `word${i}`);
  const words = new Uint32Array(Math.ceil((count * dim) / 4));
  let state = 1;
  for (let i = 0; i < words.length; i++) words[i] = state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  const codes = new Int8Array(words.buffer, 0, count * dim);
  const scales = Float32Array.from({ length: count }, (_, i) => 1 / (1 + i));
  return { tokens, codes, scales, bytes: buildLinear(tokens, codes, scales) };
}
