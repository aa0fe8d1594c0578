// The randomized Hadamard transform (section 6.5), in place; storing into a Float32Array rounds each result.

const MASK = (1n << 64n) - 1n;

/**
 * Words of SplitMix64.
 * @param {bigint} seed
 * @param {number} count
 */
export function splitMix64(seed, count) {
  const words = new BigUint64Array(count);
  let state = seed;
  for (let i = 0; i < count; i++) {
    state = (state + 0x9e3779b97f4a7c15n) & MASK;
    let z = state;
    z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK;
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & MASK;
    words[i] = z ^ (z >> 31n);
  }
  return words;
}

/**
 * @param {BigUint64Array} words
 * @param {number} count
 */
function bitsOf(words, count) {
  const bits = new Uint8Array(count);
  for (let from = 0; from < count; from += 32) {
    const half = Number((words[from >> 6] >> BigInt(from & 32)) & 0xffffffffn);
    for (let bit = 0; bit < Math.min(32, count - from); bit++) bits[from + bit] = (half >>> bit) & 1;
  }
  return bits;
}

export class Rotation {
  /**
   * @param {import("./descriptor.mjs").Transform} transform
   * @param {number} dim
   */
  constructor({ rounds, seed }, dim) {
    this.dim = dim;
    this.length = 2 ** (31 - Math.clz32(dim));
    this.factor = Math.fround(1 / Math.sqrt(this.length));
    const perRound = Math.ceil(dim / 64);
    const words = splitMix64(seed, rounds * perRound);
    /** For each round, 1 where a value is negated. */
    this.signs = Array.from({ length: rounds }, (_, i) =>
      bitsOf(words.subarray(i * perRound, (i + 1) * perRound), dim),
    );
  }

  /** @param {Float32Array} values whole rows */
  apply(values) {
    const { dim, length, signs } = this;
    for (let at = 0; at < values.length; at += dim) {
      for (const negated of signs) {
        for (let j = 0; j < dim; j++) if (negated[j]) values[at + j] = -values[at + j];
        this.transform(values, at);
        if (length < dim) this.transform(values, at + dim - length);
      }
    }
  }

  /**
   * @param {Float32Array} y
   * @param {number} at
   */
  transform(y, at) {
    const end = at + this.length;
    for (let h = 1; h < this.length; h *= 2) {
      for (let block = at; block < end; block += 2 * h) {
        for (let k = block; k < block + h; k++) {
          const a = y[k];
          const b = y[k + h];
          y[k] = a + b;
          y[k + h] = a - b;
        }
      }
    }
    for (let k = at; k < end; k++) y[k] *= this.factor;
  }
}
