// The structures QUAN, TRNS and SUBW, and the sections that they call for: the checks 3 to 6 of section 8.

import { viewOf } from "./bytes.mjs";
import { crc32c } from "./crc32c.mjs";
import { QembError } from "./errors.mjs";
import { KINDS } from "./header.mjs";
import { RAW } from "./sections.mjs";

export const LINEAR = 0;
export const CODEBOOK = 1;
export const PRODUCT = 2;
export const DECIMAL = 3;
export const IEEE = 4;

export const NONE = 0;
export const TABLE = 1;
export const ROW = 2;
export const COLUMN = 3;
export const BLOCK = 4;

export const FLOAT32 = 1;
export const FLOAT16 = 2;

const STRUCTURES = { QUAN: 28, TRNS: 16, SUBW: 16 };
const MAX_METADATA = 2 ** 20;
export const EXCEPTION_SIZE = 12;

/**
 * What section 6.1 says of a file; of the parameters, those of its level are there.
 * @typedef {object} Quantization
 * @property {number} level
 * @property {number} bits
 * @property {number} lowBits
 * @property {number} scaleGroup
 * @property {number} scaleType
 * @property {number} offsetGroup
 * @property {number} offsetType
 * @property {number} scaleBlock
 * @property {number} offsetBlock
 * @property {number} rowStride
 * @property {number} [step]
 * @property {number} [bias]
 * @property {number} [window]
 * @property {number} [shift]
 * @property {number} [subDim]
 * @property {number} [digits]
 * @property {number} [exponentMin]
 * @property {number} [exponentMax]
 * @property {number} [format]
 */

/** @typedef {{kind: number, generator: number, rounds: number, seed: bigint}} Transform */
/** @typedef {{hash: number, minN: number, maxN: number, buckets: number}} Subword */
/** @typedef {import("./header.mjs").Header} Header */
/** @typedef {Map<string, import("./sections.mjs").Section>} Sections by kind, those that are known */

/**
 * @param {Header} header
 * @param {Sections} sections
 */
export async function readDescriptor(header, sections) {
  for (const kind of ["QUAN", "TOKO", "TOKB"]) {
    if (!sections.has(kind)) throw new QembError("invalid.missing_section", "the section is missing", { where: kind });
  }
  /** @type {Record<string, DataView>} */
  const views = {};
  for (const [kind, size] of Object.entries(STRUCTURES)) {
    const section = sections.get(kind);
    if (section) views[kind] = viewOf(await readStructure(section, size));
  }
  const quantization = readQuantization(views.QUAN, header.dim, faults(sections.get("QUAN")));
  const transform = views.TRNS && readTransform(views.TRNS, faults(sections.get("TRNS")));
  const subword = views.SUBW && readSubword(views.SUBW, faults(sections.get("SUBW")));
  const buckets = header.rows - header.tokens;
  if (buckets !== (subword?.buckets ?? 0)) {
    const what = `${buckets} rows are past the tokens, and ${subword?.buckets ?? 0} buckets are there to use them`;
    throw new QembError("invalid.counts", what, { where: "header", offset: 24 });
  }
  checkSections(header, sections, quantization);
  return { quantization, transform, subword };
}

/**
 * @param {import("./sections.mjs").Section} section
 * @param {number} size
 */
async function readStructure(section, size) {
  const { codec, rawSize, crc } = section.entry;
  if (codec !== RAW) throw section.error("invalid.section_codec", "the structure is not stored raw");
  if (rawSize !== size) throw section.error("invalid.section_size", `has ${rawSize} bytes, not ${size}`);
  const bytes = await section.readAll();
  if (crc32c(bytes) !== crc) throw section.error("malformed.section_checksum", "the section does not match its CRC");
  return bytes;
}

/**
 * @typedef {(code: string, what: string, at: number) => QembError} Fault
 * @param {import("./sections.mjs").Section | undefined} section
 * @returns {Fault}
 */
const faults = (section) => (code, what, at) =>
  section ? section.error(code, what, at) : new QembError(code, what, { offset: at });

/**
 * @param {DataView} view
 * @param {number} from
 * @param {number} to
 * @param {Fault} fault
 */
function checkReserved(view, from, to, fault) {
  for (let at = from; at < to; at++) {
    if (view.getUint8(at) !== 0) throw fault("malformed.structure", "a reserved byte is not zero", at);
  }
}

/**
 * @param {DataView} view
 * @param {number} dim
 * @param {Fault} fault
 * @returns {Quantization}
 */
function readQuantization(view, dim, fault) {
  const level = view.getUint8(0);
  const quantization = {
    level,
    bits: view.getUint8(1),
    lowBits: view.getUint8(2),
    scaleGroup: view.getUint8(4),
    scaleType: view.getUint8(5),
    offsetGroup: view.getUint8(6),
    offsetType: view.getUint8(7),
    scaleBlock: view.getUint32(8, true),
    offsetBlock: view.getUint32(12, true),
    rowStride: view.getUint32(16, true),
    ...readParameters(view, level),
  };
  checkReserved(view, 3, 4, fault);
  if (level > IEEE) throw fault("unsupported.level", `level ${level} is not known to this reader`, 0);
  checkReserved(view, [28, 22, 24, 23, 21][level], 28, fault);

  const { bits, lowBits, scaleGroup, scaleType, offsetGroup, offsetType, scaleBlock, offsetBlock, rowStride } =
    quantization;
  /** @param {boolean} holds @param {string} what @param {number} at */
  const check = (holds, what, at) => {
    if (!holds) throw fault("invalid.quantization", what, at);
  };
  check(bits >= 1 && bits <= [16, 8, 16, 32, 32][level], `bits is ${bits}`, 1);
  check(lowBits <= bits, `low_bits is ${lowBits}, bits ${bits}`, 2);
  const unscaled = level === DECIMAL || level === IEEE;
  check(scaleGroup <= BLOCK && offsetGroup <= BLOCK, `groups are ${scaleGroup} and ${offsetGroup}`, 4);
  check(scaleGroup !== NONE || unscaled || level === PRODUCT, "levels of this kind have a scale", 4);
  check(
    !unscaled || (scaleGroup === NONE && offsetGroup === NONE),
    "levels of this kind have neither scale nor offset",
    4,
  );
  check(scaleType <= FLOAT16 && (scaleType === 0) === (scaleGroup === NONE), `scale_type is ${scaleType}`, 5);
  check(offsetType <= FLOAT16 && (offsetType === 0) === (offsetGroup === NONE), `offset_type is ${offsetType}`, 7);
  check(isBlock(scaleBlock, scaleGroup, dim), `scale_block is ${scaleBlock}`, 8);
  check(isBlock(offsetBlock, offsetGroup, dim), `offset_block is ${offsetBlock}`, 12);
  check(areParameters(quantization, dim), "the parameters of the level are against a rule", 20);
  const codes = codesPerRow(quantization, dim);
  check(
    lowBits === 0 ? rowStride === 0 : rowStride >= Math.ceil((codes * lowBits) / 8),
    `row_stride is ${rowStride}`,
    16,
  );
  return quantization;
}

/** @param {number} block @param {number} group @param {number} dim */
const isBlock = (block, group, dim) => (group === BLOCK ? block >= 1 && block <= dim : block === 0);

/**
 * @param {DataView} view
 * @param {number} level
 */
function readParameters(view, level) {
  if (level === LINEAR) return { step: view.getInt32(20, true), bias: view.getInt32(24, true) };
  if (level === CODEBOOK) return { window: view.getUint8(20), shift: view.getUint8(21) };
  if (level === PRODUCT) return { subDim: view.getUint32(20, true) };
  if (level === DECIMAL)
    return { digits: view.getUint8(20), exponentMin: view.getInt8(21), exponentMax: view.getInt8(22) };
  return { format: view.getUint8(20) };
}

/**
 * QEMB-QNT-07.
 * @param {Quantization} quantization
 * @param {number} dim
 */
function areParameters(quantization, dim) {
  const { level, bits } = quantization;
  const { step = 0, bias = 0, window = 0, shift = 0, subDim = 0, digits = 0, format = 0 } = quantization;
  const { exponentMin = 0, exponentMax = 0 } = quantization;
  if (level === LINEAR) {
    const half = 2 ** (bits - 1);
    return step >= 1 && step * -half - bias >= -(2 ** 24) && step * (half - 1) - bias <= 2 ** 24;
  }
  if (level === CODEBOOK) {
    if (window < bits || window > 16) return false;
    return window === bits ? shift === 0 : shift >= 1 && shift <= Math.min(bits, window - bits);
  }
  if (level === PRODUCT) return subDim >= 1 && subDim <= dim;
  if (level === DECIMAL) {
    if (digits < 1 || digits > 9 || exponentMin < -60 || exponentMax < exponentMin || exponentMax > 38) return false;
    return 2 * decimalRank(quantization) < 2 ** bits;
  }
  return format <= 2 && bits === (format === 0 ? 32 : 16);
}

/**
 * R of section 6.3.4, the rank of the greatest magnitude.
 * @param {Quantization} quantization
 */
export function decimalRank({ digits = 0, exponentMin = 0, exponentMax = 0 }) {
  return 10 ** digits + (exponentMax - exponentMin) * 9 * 10 ** (digits - 1) - 1;
}

/**
 * @param {Quantization} quantization
 * @param {number} dim
 */
export const codesPerRow = ({ level, subDim = 1 }, dim) => (level === PRODUCT ? Math.ceil(dim / subDim) : dim);

/** How many sections hold the high parts of codes. @param {Quantization} quantization */
export const highParts = ({ bits, lowBits }) => Math.ceil((bits - lowBits) / 8);

/**
 * @param {DataView} view
 * @param {Fault} fault
 * @returns {Transform}
 */
function readTransform(view, fault) {
  const kind = view.getUint8(0);
  const generator = view.getUint8(1);
  const rounds = view.getUint8(2);
  checkReserved(view, 3, 8, fault);
  if (kind !== 1 || generator !== 1) {
    throw fault(
      "unsupported.transform",
      `transform ${kind} with generator ${generator} is not known to this reader`,
      0,
    );
  }
  if (rounds < 1 || rounds > 8) throw fault("invalid.transform", `rounds is ${rounds}, not 1 to 8`, 2);
  return { kind, generator, rounds, seed: view.getBigUint64(8, true) };
}

/**
 * @param {DataView} view
 * @param {Fault} fault
 * @returns {Subword}
 */
function readSubword(view, fault) {
  const hash = view.getUint8(0);
  const minN = view.getUint32(4, true);
  const maxN = view.getUint32(8, true);
  checkReserved(view, 1, 4, fault);
  if (hash !== 1) throw fault("unsupported.subword", `subword hash ${hash} is not known to this reader`, 0);
  if (minN < 1 || maxN < minN) throw fault("invalid.subword", `n-grams of ${minN} to ${maxN} characters`, 4);
  return { hash, minN, maxN, buckets: view.getUint32(12, true) };
}

/**
 * The checks 5 and 6: presence and sizes.
 * @param {Header} header
 * @param {Sections} sections
 * @param {Quantization} quantization
 */
function checkSections(header, sections, quantization) {
  const wanted = wantedSizes(header, quantization);
  for (const kind of Object.keys(KINDS)) {
    const section = sections.get(kind);
    const calls = wanted.get(kind);
    if (calls !== undefined && !section) {
      throw new QembError("invalid.missing_section", "the descriptor calls for this section, which is missing", {
        where: kind,
      });
    }
    if (VECTOR_KINDS.has(kind) && calls === undefined && section) {
      throw section.error("invalid.unexpected_section", "the descriptor has no use for the section");
    }
    const expected = calls ?? optionalSize(kind, header, sections);
    if (section && expected !== undefined && BigInt(section.entry.rawSize) !== expected) {
      throw section.error("invalid.section_size", `has ${section.entry.rawSize} raw bytes, not ${expected}`);
    }
  }
  const metadata = sections.get("META");
  if (metadata && metadata.size > MAX_METADATA) {
    throw metadata.error(
      "limit.metadata_size",
      `${metadata.size} bytes of metadata, at most ${MAX_METADATA} are allowed`,
    );
  }
  const exceptions = sections.get("EXCP");
  if (exceptions && quantization.level !== DECIMAL) {
    throw exceptions.error("invalid.unexpected_section", "only decimal levels have exceptions");
  }
  if (exceptions && exceptions.size % EXCEPTION_SIZE) {
    throw exceptions.error("invalid.section_size", `${exceptions.size} bytes are no multiple of ${EXCEPTION_SIZE}`);
  }
  const index = sections.get("INDX");
  if (index && (index.size % 4 || index.size / 4 <= header.tokens || index.size / 4 >= 2 ** 32 - 1)) {
    throw index.error("invalid.section_size", `${index.size} bytes are no index of ${header.tokens} tokens`);
  }
}

/** Sections that are there where, and only where, the descriptor calls for them. */
const VECTOR_KINDS = new Set(["LEVL", "SCAL", "OFFS", "CODE", "HIG0", "HIG1", "HIG2", "HIG3"]);

/**
 * Raw sizes of the sections that the descriptor calls for (QEMB-QNT-10); products may pass 2^64.
 * @param {Header} header
 * @param {Quantization} quantization
 */
function wantedSizes({ rows, dim }, quantization) {
  const { level, bits, lowBits, window = 0, subDim = 0 } = quantization;
  const codes = codesPerRow(quantization, dim);
  /** @type {Map<string, bigint>} */
  const sizes = new Map();
  if (level === CODEBOOK) sizes.set("LEVL", 1n << BigInt(window));
  if (level === PRODUCT) sizes.set("LEVL", 4n * BigInt(codes) * (1n << BigInt(bits)) * BigInt(subDim));
  const { scaleGroup, scaleType, scaleBlock, offsetGroup, offsetType, offsetBlock } = quantization;
  if (scaleGroup !== NONE)
    sizes.set("SCAL", elements(scaleGroup, scaleBlock, rows, dim) * (scaleType === FLOAT16 ? 2n : 4n));
  if (offsetGroup !== NONE)
    sizes.set("OFFS", elements(offsetGroup, offsetBlock, rows, dim) * (offsetType === FLOAT16 ? 2n : 4n));
  if (lowBits > 0) sizes.set("CODE", BigInt(rows) * BigInt(quantization.rowStride));
  for (let k = 0; k < highParts(quantization); k++) sizes.set(`HIG${k}`, BigInt(rows) * BigInt(codes));
  return sizes;
}

/** @param {number} group @param {number} block @param {number} rows @param {number} dim */
function elements(group, block, rows, dim) {
  if (group === TABLE) return 1n;
  if (group === COLUMN) return BigInt(dim);
  return BigInt(rows) * BigInt(group === ROW ? 1 : Math.ceil(dim / block));
}

/**
 * Raw sizes of the other sections, where they are fixed.
 * @param {string} kind
 * @param {Header} header
 * @param {Sections} sections
 */
function optionalSize(kind, { rows, tokens }, sections) {
  if (kind === "TOKO") return BigInt(tokenOffsetSize(sections)) * (BigInt(tokens) + 1n);
  if (kind === "NORM") return 4n * BigInt(rows);
  if (kind === "CNTS") return 8n * BigInt(tokens);
  return undefined;
}

/** Bytes of a token offset. @param {Sections} sections */
export const tokenOffsetSize = (sections) =>
  /** @type {{size: number}} */ (sections.get("TOKB")).size >= 2 ** 32 ? 8 : 4;
