// Decimal levels (section 6.3.4): integers that rank decimal numbers, to the nearest float32.

import { decimalRank } from "./descriptor.mjs";

/** More than the relative error of two rounded operations, and of a power of ten that was rounded before. */
const MARGIN = 2 ** -50;
const EXPONENT_MIN = -60;
const POWERS = Array.from({ length: 99 }, (_, i) => Number(`1e${EXPONENT_MIN + i}`));

/**
 * significand x 10^exponent as the nearest float32, ties to even, rounded once.
 * @param {number} significand an integer from 0 to 10^9
 * @param {number} exponent -60 to 38
 */
export function decimalToFloat32(significand, exponent) {
  const near = significand * POWERS[exponent - EXPONENT_MIN];
  const low = Math.fround(near * (1 - MARGIN));
  const high = Math.fround(near * (1 + MARGIN));
  // Rounding is monotonic, and the exact value is between the two.
  return low === high ? low : exactDecimal(significand, exponent);
}

/**
 * The same by integers alone, for numbers that all but halve the way between two float32.
 * @param {number} significand above 0
 * @param {number} exponent
 */
export function exactDecimal(significand, exponent) {
  const power = 10n ** BigInt(Math.abs(exponent));
  const numerator = BigInt(significand) * (exponent < 0 ? 1n : power);
  const denominator = exponent < 0 ? power : 1n;
  // 2^(e - 1) < numerator / denominator < 2^(e + 1): the unit in the last place is the one of 2^e or of half that
  const e = numerator.toString(2).length - denominator.toString(2).length;
  for (const unit of [Math.max(e - 24, -149), Math.max(e - 23, -149)]) {
    const scaled = unit < 0 ? numerator << BigInt(-unit) : numerator;
    const divisor = unit < 0 ? denominator : denominator << BigInt(unit);
    const whole = scaled / divisor;
    if (whole >= 1n << 24n) continue; // more digits than there are: the greater unit
    const twiceRest = 2n * (scaled % divisor);
    const up = twiceRest > divisor || (twiceRest === divisor && (whole & 1n) === 1n);
    return Math.fround(Number(whole + (up ? 1n : 0n)) * 2 ** unit);
  }
  throw new RangeError(`${significand}e${exponent}`);
}

/**
 * @param {import("./descriptor.mjs").Quantization} quantization
 * @param {Uint32Array | Uint16Array | Uint8Array} codes
 * @param {Float32Array} values
 * @returns {number} the place of the first code past the last rank, or -1
 */
export function decodeDecimals(quantization, codes, values) {
  const { digits = 0, exponentMin = 0 } = quantization;
  const rank = decimalRank(quantization);
  const whole = 10 ** digits;
  const least = 10 ** (digits - 1);
  const step = 9 * least;
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i];
    if (code > 2 * rank) return i;
    const magnitude = Math.abs(code - rank);
    let significand = magnitude;
    let exponent = exponentMin;
    if (magnitude >= whole) {
      const past = magnitude - whole;
      const above = Math.floor(past / step);
      significand = least + past - above * step;
      exponent += 1 + above;
    }
    const value = decimalToFloat32(significand, exponent);
    values[i] = code < rank ? -value : value;
  }
  return -1;
}
