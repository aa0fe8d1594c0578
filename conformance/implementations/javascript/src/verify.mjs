// Verifying: the checks 7 and 8 of section 8, in its order.

import { toUint32, uint64, viewOf } from "./bytes.mjs";
import { crc32c } from "./crc32c.mjs";
import { floats } from "./decode.mjs";
import { DECIMAL, decimalRank, EXCEPTION_SIZE, FLOAT16, FLOAT32, NONE, PRODUCT } from "./descriptor.mjs";
import { QembError, tooLarge } from "./errors.mjs";
import { BYTE_TOKENS } from "./header.mjs";
import { MetadataFault, parseMetadata } from "./metadata.mjs";
import { ZSTD_FRAMES } from "./sections.mjs";
import { homeSlot, TokenTable } from "./tokens.mjs";

/** Bytes that are read at once. */
const PIECE = 2 ** 22;
const EMPTY = 0xffffffff;
const NORM_TOLERANCE = 1e-6;
const NORM_LIMIT = 2 ** 128;
const SMALLEST = 2 ** -149;

/**
 * @typedef {object} File
 * @property {import("./sources.mjs").Source} source
 * @property {import("./header.mjs").Header} header
 * @property {import("./sections.mjs").Entry[]} entries
 * @property {import("./descriptor.mjs").Sections} sections
 * @property {import("./descriptor.mjs").Quantization} quantization
 * @property {import("./rows.mjs").RowReader} rows
 * @property {import("./tokens.mjs").TokenReader} tokens
 */

/** @param {File} file */
export async function verify(file) {
  const { sections, rows } = file;
  await checkStored(file);
  await checkMetadata(sections.get("META"));
  await checkFinite(file);
  await checkPadding(file);
  await checkDecimals(file);
  const table = await checkTokens(file);
  const index = sections.get("INDX");
  if (index) await checkIndex(index, table);
  const norms = sections.get("NORM");
  if (norms) await checkNorms(norms, rows);
}

/** Check 7. @param {File} file */
async function checkStored({ source, header, entries, sections }) {
  let end = header.tableOffset + 40 * entries.length;
  for (const { kind, offset, storedSize, crc } of entries) {
    const padding = await source.read(end, offset - end);
    const dirty = padding.findIndex((byte) => byte !== 0);
    if (dirty !== -1)
      throw new QembError("invalid.padding", "padding is not zero", { where: kind, offset: end + dirty });
    end = offset + storedSize;
    let found = 0;
    for (let at = offset; at < end; at += PIECE) {
      found = crc32c(await source.read(at, Math.min(PIECE, end - at)), found);
    }
    if (found !== crc) {
      throw new QembError("malformed.section_checksum", "the section does not match its CRC", { where: kind, offset });
    }
    const section = sections.get(kind);
    if (section?.entry.codec === ZSTD_FRAMES) {
      await section.checkFrameTable();
      await section.checkFrames();
    }
  }
}

/** @param {import("./sections.mjs").Section | undefined} section */
async function checkMetadata(section) {
  if (!section) return;
  const value = parseMetadata(await section.readAll());
  if (value instanceof MetadataFault) throw section.error(value.code, value.what);
}

/**
 * Raw bytes piece by piece; each piece begins at a multiple of `unit`.
 * @param {import("./sections.mjs").Section} section
 * @param {number} unit
 */
async function* pieces(section, unit) {
  const step = Math.max(1, Math.floor(PIECE / unit)) * unit;
  for (let from = 0; from < section.size; from += step) {
    yield { from, bytes: await section.read(from, Math.min(step, section.size - from)) };
  }
}

/** Levels, scales and offsets are finite. @param {File} file */
async function checkFinite({ sections, quantization }) {
  const { level, scaleType, offsetType } = quantization;
  const floatSections = /** @type {const} */ ([
    ["LEVL", level === PRODUCT ? FLOAT32 : NONE, "invalid.level", "level"],
    ["SCAL", scaleType, "invalid.scale", "scale"],
    ["OFFS", offsetType, "invalid.offset", "offset"],
  ]);
  for (const [kind, type, code, name] of floatSections) {
    const section = sections.get(kind);
    if (!section || type === NONE) continue;
    const size = type === FLOAT16 ? 2 : 4;
    for await (const { from, bytes } of pieces(section, size)) {
      const place = floats(bytes, type).findIndex((value) => !Number.isFinite(value));
      if (place !== -1) throw section.error(code, `${name} ${from / size + place} is not finite`);
    }
  }
}

/** QEMB-PCK-02 and QEMB-PCK-03. @param {File} file */
async function checkPadding({ sections, quantization, rows }) {
  const { bits, lowBits, rowStride } = quantization;
  const used = rows.decoder.perRow * lowBits;
  const fullBytes = Math.floor(used / 8);
  const code = sections.get("CODE");
  if (code && used < 8 * rowStride) {
    for await (const { from, bytes } of pieces(code, rowStride)) {
      for (let row = 0; row < bytes.length; row += rowStride) {
        let rest = used % 8 ? bytes[row + fullBytes] >> (used % 8) : 0;
        for (let at = row + Math.ceil(used / 8); at < row + rowStride; at++) rest |= bytes[at];
        if (rest)
          throw code.error("invalid.code_padding", `row ${(from + row) / rowStride} has bits past its last code`);
      }
    }
  }
  for (const [k, section] of rows.high.entries()) {
    const limit = 2 ** Math.min(8, bits - lowBits - 8 * k);
    if (limit === 256) continue;
    for await (const { from, bytes } of pieces(section, 1)) {
      const place = bytes.findIndex((byte) => byte >= limit);
      if (place !== -1) throw section.error("invalid.code_padding", `code ${from + place} has bits past its last`);
    }
  }
}

/** QEMB-DEC-01, then QEMB-DEC-02. @param {File} file */
async function checkDecimals({ sections, quantization, rows }) {
  if (quantization.level !== DECIMAL) return;
  const rank = decimalRank(quantization);
  const section = sections.get("CODE") ?? rows.high[0];
  for (let from = 0; from < rows.count; from += rows.chunk) {
    const codes = await rows.codes(from, Math.min(from + rows.chunk, rows.count));
    const place = codes.findIndex((code) => code > 2 * rank);
    if (place !== -1)
      throw section.error("invalid.code", `value ${from * rows.dim + place} has a code past the last rank`);
  }
  const exceptions = sections.get("EXCP");
  if (exceptions) await checkExceptions(exceptions, rows, rank);
}

/**
 * @param {import("./sections.mjs").Section} section
 * @param {import("./rows.mjs").RowReader} rows
 * @param {number} rank of zero
 */
async function checkExceptions(section, rows, rank) {
  const values = rows.count * rows.dim;
  if (values >= 2 ** 53) throw tooLarge(`${values} values`);
  let before = -1;
  let chunk = { from: 0, to: 0, codes: /** @type {import("./unpack.mjs").Codes} */ (new Uint8Array(0)) };
  for await (const { from, bytes } of pieces(section, EXCEPTION_SIZE)) {
    const view = viewOf(bytes);
    for (let at = 0; at < bytes.length; at += EXCEPTION_SIZE) {
      const position = uint64(view, at);
      const number = (from + at) / EXCEPTION_SIZE;
      /** @param {string} what */
      const error = (what) =>
        section.error("invalid.exceptions", `exception ${number} at position ${position} ${what}`);
      if (position <= before) throw error("does not follow the one before it");
      if (position >= values) throw error(`is past the last of ${values} values`);
      before = position;
      const row = Math.floor(position / rows.dim);
      if (row >= chunk.to) {
        const first = row - (row % rows.chunk);
        const to = Math.min(first + rows.chunk, rows.count);
        chunk = { from: first, to, codes: await rows.codes(first, to) };
      }
      if (chunk.codes[position - chunk.from * rows.dim] !== rank) throw error("stands on a code that is not zero's");
    }
  }
}

/** QEMB-TOK-01 to QEMB-TOK-04. @param {File} file */
async function checkTokens({ header, tokens }) {
  const { offsets, bytes } = await tokens.readAll();
  const table = new TokenTable(offsets, bytes);
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const anyBytes = (header.requiredFeatures & BYTE_TOKENS) !== 0;
  for (let row = 0; row < tokens.count; row++) {
    const token = table.token(row);
    if (!anyBytes && token.some((byte) => byte >= 0x80)) {
      try {
        decoder.decode(token);
      } catch {
        throw tokens.bytes.error("invalid.token_utf8", `token ${row} is not UTF-8`);
      }
    }
    if (!table.add(row)) throw tokens.bytes.error("invalid.duplicate_token", `token ${row} stands twice`);
  }
  return table;
}

/**
 * QEMB-IDX-02.
 * @param {import("./sections.mjs").Section} section
 * @param {TokenTable} table of tokens, none of which stands twice
 */
async function checkIndex(section, table) {
  const slots = toUint32(await section.readAll());
  const count = table.offsets.length - 1;
  const places = new Uint32Array(count).fill(EMPTY);
  slots.forEach((row, slot) => {
    if (row === EMPTY) return;
    if (row >= count) throw section.error("invalid.index", `slot ${slot} holds row ${row}`, 0);
    if (places[row] !== EMPTY) throw section.error("invalid.index", `row ${row} stands in two slots`, 0);
    places[row] = slot;
  });
  for (let row = 0; row < count; row++) {
    if (places[row] === EMPTY) throw section.error("invalid.index", `row ${row} stands in no slot`);
    let slot = homeSlot(crc32c(table.token(row)), slots.length);
    while (slot !== places[row] && slots[slot] !== EMPTY) slot = slot + 1 === slots.length ? 0 : slot + 1;
    if (slot !== places[row]) throw section.error("invalid.index", `the search for token ${row} does not come to it`);
  }
}

/**
 * QEMB-NRM-01.
 * @param {import("./sections.mjs").Section} section
 * @param {import("./rows.mjs").RowReader} rows
 */
async function checkNorms(section, rows) {
  for await (const { from, to, values } of rows.chunks(0, rows.count)) {
    const norms = floats(await section.read(4 * from, 4 * (to - from)), FLOAT32);
    for (let row = 0; row < norms.length; row++) {
      let squares = 0;
      for (let i = row * rows.dim; i < (row + 1) * rows.dim; i++) squares += values[i] * values[i];
      const norm = Math.sqrt(squares);
      if (!(norm < NORM_LIMIT)) continue;
      if (!(Math.abs(norms[row] - norm) <= Math.max(NORM_TOLERANCE * norm, SMALLEST))) {
        throw section.error("invalid.norm", `the norm of row ${from + row} is ${norm}, not ${norms[row]}`);
      }
    }
  }
}
