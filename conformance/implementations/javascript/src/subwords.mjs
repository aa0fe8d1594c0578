// Vectors of words that are no tokens, out of their n-grams as fastText hashes them (section 7.4).

import { tooLarge } from "./errors.mjs";

/** A word of 65,536 characters has 2^31 n-grams where their length has no bound. */
const MAX_NGRAMS = 2 ** 24;

/**
 * Buckets of the n-grams of a word, in their order.
 * @param {Uint8Array} word
 * @param {import("./descriptor.mjs").Subword} subword
 * @returns {number[]}
 */
export function bucketsOf(word, { minN, maxN, buckets }) {
  if (buckets === 0) return [];
  const bytes = new Uint8Array(word.length + 2);
  bytes[0] = 0x3c;
  bytes.set(word, 1);
  bytes[word.length + 1] = 0x3e;
  // bytes that a character begins at, then the end
  const starts = [];
  for (let at = 0; at < bytes.length; at++) if ((bytes[at] & 0xc0) !== 0x80) starts.push(at);
  const count = starts.length;
  starts.push(bytes.length);

  const found = [];
  for (let first = 0; first < count; first++) {
    let hash = 0x811c9dc5;
    for (let n = 1; n <= maxN && first + n <= count; n++) {
      for (let at = starts[first + n - 1]; at < starts[first + n]; at++) {
        hash = Math.imul(hash ^ ((bytes[at] << 24) >> 24), 0x01000193);
      }
      if (n >= minN && !(n === 1 && (first === 0 || first === count - 1))) found.push((hash >>> 0) % buckets);
    }
    if (found.length > MAX_NGRAMS) throw tooLarge(`the n-grams of a word of ${word.length} bytes`);
  }
  return found;
}

/**
 * The mean of the rows of n-grams, each addition and the division rounded to float32.
 * @param {number[]} buckets at least one
 * @param {Map<number, Float32Array>} vectors by bucket
 */
export function meanOf(buckets, vectors) {
  const rows = buckets.map((bucket) => /** @type {Float32Array} */ (vectors.get(bucket)));
  const mean = new Float32Array(rows[0].length);
  for (const row of rows) for (let j = 0; j < mean.length; j++) mean[j] += row[j];
  const count = Math.fround(rows.length);
  for (let j = 0; j < mean.length; j++) mean[j] /= count;
  return mean;
}
