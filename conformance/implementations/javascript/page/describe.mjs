// What a file holds, in words.

const GROUPS = ["", "for the table", "for each row", "for each column", "for each block of"];
const TYPES = ["", "float32", "float16"];

/** @type {Record<string, string>} */
export const HOLDS = {
  META: "metadata",
  QUAN: "quantization descriptor",
  TRNS: "transform",
  LEVL: "levels",
  SCAL: "scales",
  OFFS: "offsets",
  CODE: "codes",
  HIG0: "high parts of codes",
  HIG1: "high parts of codes",
  HIG2: "high parts of codes",
  HIG3: "high parts of codes",
  EXCP: "exceptions",
  TOKO: "token offsets",
  TOKB: "token bytes",
  INDX: "token index",
  NORM: "norms",
  CNTS: "counts",
  SUBW: "subword parameters",
};

/** Kinds of sections that vectors are made of. */
const VECTORS = /^(LEVL|SCAL|OFFS|CODE|HIG[0-3]|EXCP)$/;

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** @param {number | bigint} value */
export const count = (value) => whole.format(value);

/** @param {number} bytes */
export function size(bytes) {
  for (const [unit, name] of /** @type {const} */ ([
    [1e9, "GB"],
    [1e6, "MB"],
    [1e3, "KB"],
  ])) {
    if (bytes >= unit) return `${short.format(bytes / unit)} ${name}`;
  }
  return `${bytes} bytes`;
}

/**
 * One line about how vectors are stored.
 * @param {import("../src/qemb.mjs").Embeddings["info"]} info
 */
export function scheme({ quantization, transform }) {
  const { level, bits, window = 0, subDim, digits, format = 0 } = quantization;
  const { scaleGroup, scaleType, scaleBlock, offsetGroup, offsetType, offsetBlock } = quantization;
  const kind = [
    `linear, ${bits} bits`,
    window > bits ? `trellis, ${bits} bits in a window of ${window}` : `codebook, ${bits} bits`,
    `product, ${bits} bits for ${subDim} values`,
    `decimal, ${digits} digits in ${bits} bits`,
    ["float32", "float16", "bfloat16"][format],
  ][level];
  const parts = [kind];
  if (scaleGroup) parts.push(`a ${TYPES[scaleType]} scale ${group(scaleGroup, scaleBlock)}`);
  if (offsetGroup) parts.push(`a ${TYPES[offsetType]} offset ${group(offsetGroup, offsetBlock)}`);
  if (transform) parts.push("rotated");
  return parts.join(", ");
}

/** @param {number} number @param {number} block */
const group = (number, block) => `${GROUPS[number]}${block ? ` ${block}` : ""}`;

/**
 * Name and value of what there is to say about a file.
 * @param {import("../src/qemb.mjs").Embeddings} emb
 * @returns {[string, string][]}
 */
export function facts(emb) {
  const { header, subword } = emb.info;
  const values = emb.rowCount * emb.dim;
  const stored = emb.entries.reduce((sum, { kind, storedSize }) => sum + (VECTORS.test(kind) ? storedSize : 0), 0);
  /** @type {[string, string][]} */
  const rows = [
    ["Words", count(emb.length)],
    ["Dimensions", count(emb.dim)],
    ["Scheme", scheme(emb.info)],
  ];
  if (values) rows.push(["Bits a value", short.format((8 * stored) / values)]);
  if (subword)
    rows.push(["Subwords", `${count(subword.buckets)} buckets, n-grams of ${subword.minN} to ${subword.maxN}`]);
  rows.push(["Size", size(header.fileSize)], ["Version", `${header.major}.${header.minor}`]);
  return rows;
}
