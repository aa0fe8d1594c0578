// Header and section table (sections 2 and 3 of the specification): the checks 1 and 2 of its section 8.

import { uint64, viewOf } from "./bytes.mjs";
import { crc32c } from "./crc32c.mjs";
import { QembError } from "./errors.mjs";
import { RAW, ZSTD_FRAMES } from "./sections.mjs";

const CRITICAL = 1;
const COPY_SAFE = 2;

/** Kinds of sections with their flags, in the order of section 5. @type {Record<string, number>} */
export const KINDS = {
  META: COPY_SAFE,
  QUAN: CRITICAL,
  TRNS: CRITICAL,
  LEVL: CRITICAL,
  SCAL: CRITICAL,
  OFFS: CRITICAL,
  CODE: CRITICAL,
  HIG0: CRITICAL,
  HIG1: CRITICAL,
  HIG2: CRITICAL,
  HIG3: CRITICAL,
  EXCP: CRITICAL,
  TOKO: CRITICAL,
  TOKB: CRITICAL,
  INDX: 0,
  NORM: 0,
  CNTS: 0,
  SUBW: 0,
};

const MAGIC = Uint8Array.of(0x89, 0x51, 0x45, 0x4d, 0x42, 0x0d, 0x0a, 0x1a);
const HEADER_SIZE = 64;
const ENTRY_SIZE = 40;
const MAX_SECTIONS = 256;
const MAX_DIM = 2 ** 24;
const MAX_FRAME = 2 ** 24;
const ALIGNMENT = 64;
/** Every offset, size and count is below. */
const LIMIT = 2 ** 53;
/** The bit of `required_features` by which tokens need not be UTF-8. */
export const BYTE_TOKENS = 1;

/**
 * @typedef {object} Header
 * @property {number} major
 * @property {number} minor
 * @property {number} sectionCount
 * @property {number} requiredFeatures
 * @property {number} optionalFeatures
 * @property {number} rows
 * @property {number} tokens
 * @property {number} fileSize
 * @property {number} dim
 * @property {number} tableOffset
 * @property {number} tableCrc
 * @property {number} headerCrc
 */

/** @typedef {import("./sections.mjs").Entry} Entry */

/** @param {number} size */
const alignedUp = (size) => Math.ceil(size / ALIGNMENT) * ALIGNMENT;

/**
 * The header and the bytes of the section table.
 * @param {import("./sources.mjs").Source} source
 */
export async function readHeader(source) {
  const bytes = await source.read(0, Math.min(HEADER_SIZE, source.size));
  /** @param {string} code @param {string} what @param {number} offset */
  const error = (code, what, offset) => new QembError(code, what, { where: "header", offset });
  for (let i = 0; i < Math.min(MAGIC.length, bytes.length); i++) {
    if (bytes[i] !== MAGIC[i]) throw error("malformed.magic", "this is no .qemb file", i);
  }
  if (bytes.length < HEADER_SIZE) {
    throw error(
      "malformed.truncated",
      `the file has ${bytes.length} bytes, its header takes ${HEADER_SIZE}`,
      bytes.length,
    );
  }
  const view = viewOf(bytes);
  /** @type {Header} */
  const header = {
    major: view.getUint16(8, true),
    minor: view.getUint16(10, true),
    sectionCount: view.getUint32(12, true),
    requiredFeatures: view.getUint32(16, true),
    optionalFeatures: view.getUint32(20, true),
    rows: uint64(view, 24),
    tokens: uint64(view, 32),
    fileSize: uint64(view, 40),
    dim: view.getUint32(48, true),
    tableOffset: view.getUint32(52, true),
    tableCrc: view.getUint32(56, true),
    headerCrc: view.getUint32(60, true),
  };
  const { major, sectionCount, requiredFeatures, rows, tokens, fileSize, dim } = header;
  const tableSize = ENTRY_SIZE * sectionCount;
  if (major !== 1)
    throw error("unsupported.version", `the file is of version ${major}, this reader knows version 1`, 8);
  if (header.headerCrc !== crc32c(bytes.subarray(0, 60))) {
    throw error("malformed.header_checksum", "the header does not match its CRC: the file is damaged", 60);
  }
  if (requiredFeatures & ~BYTE_TOKENS) {
    throw error(
      "unsupported.feature",
      `the file needs features that this reader does not know: ${requiredFeatures}`,
      16,
    );
  }
  if (header.tableOffset !== HEADER_SIZE)
    throw error("invalid.table_offset", `table_offset is ${header.tableOffset}`, 52);
  if (sectionCount > MAX_SECTIONS)
    throw error("limit.sections", `${sectionCount} sections, at most 256 are allowed`, 12);
  if (dim < 1 || dim > MAX_DIM) throw error("invalid.dim", `dim is ${dim}, not 1 to ${MAX_DIM}`, 48);
  if (rows >= LIMIT || tokens > rows || tokens >= LIMIT) {
    throw error("invalid.counts", `${tokens} tokens for ${rows} rows`, 24);
  }
  if (fileSize >= LIMIT || fileSize < HEADER_SIZE + tableSize) {
    throw error("invalid.file_size", `file_size is ${fileSize}`, 40);
  }
  if (source.size < fileSize) {
    throw error("malformed.truncated", `the file has ${source.size} bytes of ${fileSize}: it was cut off`, source.size);
  }
  if (source.size > fileSize) {
    throw error("invalid.trailing_bytes", `the file has ${source.size} bytes, its header says ${fileSize}`, fileSize);
  }
  const table = await source.read(HEADER_SIZE, tableSize);
  if (header.tableCrc !== crc32c(table)) {
    throw error("malformed.table_checksum", "the section table does not match its CRC: the file is damaged", 56);
  }
  return { header, table };
}

/** @param {bigint} value */
const numberIfExact = (value) => (value < BigInt(LIMIT) ? Number(value) : value);

/**
 * Entries in file order.
 * @param {Header} header
 * @param {Uint8Array} table
 * @returns {Entry[]}
 */
export function readTable(header, table) {
  const view = viewOf(table);
  const kinds = new Set();
  const entries = [];
  let end = HEADER_SIZE + table.length;
  for (let at = 0; at < table.length; at += ENTRY_SIZE) {
    const entry = checkedEntry(view, at, header.fileSize, end, kinds);
    end = entry.offset + entry.storedSize;
    entries.push(entry);
  }
  if (end !== header.fileSize) {
    const what = `the last section ends there, the file has ${header.fileSize} bytes`;
    throw new QembError("invalid.trailing_bytes", what, { where: "section table", offset: end });
  }
  return entries;
}

/**
 * One entry, after the checks of QEMB-TAB-01 to QEMB-TAB-08.
 * @param {DataView} view of the table
 * @param {number} at
 * @param {number} fileSize
 * @param {number} end of what precedes the section
 * @param {Set<string>} kinds of the sections before
 * @returns {Entry}
 */
function checkedEntry(view, at, fileSize, end, kinds) {
  const kind = String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(at + i)));
  const flags = view.getUint16(at + 4, true);
  const codec = view.getUint16(at + 6, true);
  const offset = view.getBigUint64(at + 8, true);
  const storedSize = view.getBigUint64(at + 16, true);
  const rawSize = view.getBigUint64(at + 24, true);
  const frameSize = view.getUint32(at + 32, true);
  const crc = view.getUint32(at + 36, true);
  /** @param {string} code @param {string} what @param {number} field */
  const error = (code, what, field) =>
    new QembError(code, what, { where: `section table, ${JSON.stringify(kind)}`, offset: HEADER_SIZE + at + field });

  const known = Object.hasOwn(KINDS, kind);
  if (!/^[A-Za-z][A-Za-z0-9]{3}$/.test(kind)) {
    throw error("invalid.section_kind", "a kind is four ASCII letters or digits, the first a letter", 0);
  }
  if (flags & ~(CRITICAL | COPY_SAFE) || (known && flags !== KINDS[kind])) {
    throw error("invalid.section_flags", `flags ${flags} are not those of the kind`, 4);
  }
  if (!known && flags & CRITICAL) {
    throw error(
      "unsupported.critical_section",
      "this reader does not know the section, which must not be passed over",
      0,
    );
  }
  if (kinds.has(kind)) throw error("invalid.duplicate_section", "the kind stands twice", 0);
  kinds.add(kind);
  if (known) {
    if (codec === RAW) {
      if (rawSize !== storedSize || frameSize !== 0) {
        throw error(
          "invalid.section_size",
          `${storedSize} bytes stored raw for ${rawSize}, frame_size ${frameSize}`,
          24,
        );
      }
    } else if (codec === ZSTD_FRAMES) {
      if (frameSize < 1 || frameSize > MAX_FRAME) {
        throw error("invalid.frame_size", `frame_size is ${frameSize}, not 1 to ${MAX_FRAME}`, 32);
      }
      const frames = (rawSize + BigInt(frameSize) - 1n) / BigInt(frameSize);
      if (rawSize >= BigInt(LIMIT) || storedSize < 16n * frames) {
        throw error("invalid.section_size", `${storedSize} bytes stored for ${rawSize} in ${frames} frames`, 24);
      }
    } else {
      throw error("unsupported.codec", `codec ${codec} is not known to this reader`, 6);
    }
  }
  if (offset % BigInt(ALIGNMENT)) throw error("invalid.alignment", `offset ${offset} is no multiple of 64`, 8);
  if (offset < BigInt(end))
    throw error("invalid.overlap", `begins at ${offset}, before ${end}, where what precedes it ends`, 8);
  if (offset > BigInt(fileSize) || storedSize > BigInt(fileSize) - offset) {
    throw error(
      "invalid.section_past_end",
      `${storedSize} bytes from ${offset} on end past the file, ${fileSize} bytes`,
      8,
    );
  }
  if (offset !== BigInt(alignedUp(end))) {
    throw error("invalid.hole", `begins at ${offset}, and ${alignedUp(end)} would do`, 8);
  }
  return {
    kind,
    flags,
    codec,
    offset: Number(offset),
    storedSize: Number(storedSize),
    rawSize: numberIfExact(rawSize),
    frameSize,
    crc,
  };
}
