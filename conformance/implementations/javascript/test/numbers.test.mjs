import assert from "node:assert/strict";
import { test } from "node:test";

import { float16Bits } from "../src/bytes.mjs";
import { crc32c } from "../src/crc32c.mjs";
import { decimalToFloat32, exactDecimal } from "../src/decimal.mjs";
import { bucketsOf } from "../src/subwords.mjs";
import { homeSlot } from "../src/tokens.mjs";
import { splitMix64 } from "../src/transform.mjs";
import { unpack } from "../src/unpack.mjs";

const bytes = (/** @type {string} */ text) => new TextEncoder().encode(text);

/** Integers from 0 to `limit`, the same each time. @param {number} limit */
function* integers(limit) {
  for (let state = 1n; ;) {
    state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
    yield Number((state >> 11n) % BigInt(limit));
  }
}

test("CRC-32C has the value of the specification, and those of RFC 3720", () => {
  assert.equal(crc32c(bytes("123456789")), 0xe3069283);
  assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa);
  assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
  assert.equal(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e);
});

test("CRC-32C goes on from any place", () => {
  const whole = Uint8Array.from({ length: 100 }, (_, i) => i * 7);
  for (let cut = 0; cut <= 100; cut++) {
    assert.equal(crc32c(whole.subarray(cut), crc32c(whole.subarray(0, cut))), crc32c(whole));
  }
});

test("every float16 becomes the float32 that equals it", () => {
  const word = new Uint32Array(1);
  const value = new Float32Array(word.buffer);
  for (let half = 0; half < 65536; half++) {
    const exponent = (half >> 10) & 31;
    const fraction = half & 1023;
    word[0] = float16Bits(half);
    if (exponent === 31) {
      assert.equal(word[0], ((half >> 15) * 2 ** 31 + 0x7f800000 + fraction * 8192) >>> 0);
    } else {
      const magnitude = exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24;
      assert.ok(Object.is(value[0], half & 0x8000 ? -magnitude : magnitude), half.toString(16));
    }
  }
});

/**
 * Whether a float32 is the nearest to significand x 10^exponent, ties to even: by integers, of its distance to the number
 * half way to its neighbours.
 * @param {number} found
 * @param {number} significand
 * @param {number} exponent
 */
function isNearest(found, significand, exponent) {
  const word = new Uint32Array(Float32Array.of(found).buffer)[0];
  // bits ascend as floats do, and infinity stands where 2^128 would
  const twice = (/** @type {number} */ bits) => {
    const biased = Math.max(bits >>> 23, 1);
    return BigInt((bits & 0x7fffff) + (bits >>> 23 ? 0x800000 : 0)) << BigInt(biased); // in units of 2^-150
  };
  const scale = 10n ** BigInt(Math.abs(exponent));
  const exact = (BigInt(significand) * (exponent < 0 ? 1n : scale)) << 151n; // in units of 2^-151
  const unit = exponent < 0 ? scale : 1n;
  const low = word === 0 ? 0n : (twice(word - 1) + twice(word)) * unit;
  const high = (twice(word) + twice(word + 1)) * unit;
  if (word === 0x7f800000) return exact >= low;
  return word & 1 ? low < exact && exact < high : low <= exact && exact <= high;
}

test("decimals are rounded once, to the nearest float32", () => {
  const random = integers(10 ** 9);
  for (let exponent = -60; exponent <= 38; exponent++) {
    const significands = [1, 5, 9, 99999, 123456789, 999999999, 16777217, 33554433, 335544319, 671088641];
    for (let i = 0; i < 300; i++) significands.push(/** @type {number} */ (random.next().value) >> (i % 28));
    for (const significand of significands) {
      const found = decimalToFloat32(significand, exponent);
      assert.ok(isNearest(found, significand, exponent), `${significand}e${exponent} became ${found}`);
      if (significand) assert.equal(exactDecimal(significand, exponent), found);
    }
  }
  // as doubles these are half way between two float32, as decimals they are not
  assert.equal(decimalToFloat32(16777217, 0), 16777216);
  assert.equal(decimalToFloat32(16777219, 0), 16777220);
});

test("codes of every width come out as they went in", () => {
  const random = integers(2 ** 32);
  for (let bits = 1; bits <= 32; bits++) {
    for (let lowBits = 0; lowBits <= bits; lowBits++) {
      const codes = Array.from({ length: 22 }, () => /** @type {number} */ (random.next().value) % 2 ** bits);
      const rowStride = lowBits && Math.ceil((11 * lowBits) / 8) + 1;
      const low = new Uint8Array(2 * rowStride);
      const high = Array.from({ length: Math.ceil((bits - lowBits) / 8) }, () => new Uint8Array(22));
      codes.forEach((code, i) => {
        const part = BigInt(code) >> BigInt(lowBits);
        high.forEach((plane, k) => (plane[i] = Number((part >> BigInt(8 * k)) & 255n)));
        for (let bit = 0; bit < lowBits; bit++) {
          const place = (i % 11) * lowBits + bit;
          low[Math.floor(i / 11) * rowStride + (place >> 3)] |=
            Number((BigInt(code) >> BigInt(bit)) & 1n) << (place & 7);
        }
      });
      const found = unpack({ bits, lowBits, rowStride }, 11, 2, lowBits ? low : undefined, high);
      assert.deepEqual(Array.from(found), codes, `${lowBits} of ${bits} bits`);
    }
  }
});

test("a search begins where 64-bit arithmetic has it begin", () => {
  const random = integers(2 ** 32);
  for (let i = 0; i < 1000; i++) {
    const crc = i ? /** @type {number} */ (random.next().value) : 0xffffffff;
    const slots = i ? /** @type {number} */ (random.next().value) : 0xfffffffe;
    assert.equal(homeSlot(crc, slots), Number((BigInt(crc) * BigInt(slots)) >> 32n));
  }
});

test("SplitMix64 begins as the specification says", () => {
  assert.equal(splitMix64(0n, 1)[0], 0xe220a8397b1dcdafn);
  assert.equal(splitMix64(0xffffffffffffffffn, 2).length, 2);
});

test("n-grams are hashed as fastText does, bytes above 7F as negative numbers", () => {
  // FNV-1a in 64-bit integers; the sign is extended as in C
  const hash = (/** @type {string} */ gram) =>
    bytes(gram).reduce(
      (h, byte) => ((h ^ (byte < 128 ? BigInt(byte) : BigInt(byte) + 0xffffff00n)) * 16777619n) % 2n ** 32n,
      2166136261n,
    );
  const grams = ["<na", "<naï", "naï", "naïf", "aïf", "aïf>", "ïf>"];
  const found = bucketsOf(bytes("naïf"), { hash: 1, minN: 3, maxN: 4, buckets: 2000000 });
  assert.deepEqual(
    found,
    grams.map((gram) => Number(hash(gram) % 2000000n)),
  );
  // one character by itself counts, the brackets do not
  assert.equal(bucketsOf(bytes("ab"), { hash: 1, minN: 1, maxN: 1, buckets: 10 }).length, 2);
  assert.deepEqual(bucketsOf(bytes(""), { hash: 1, minN: 3, maxN: 6, buckets: 10 }), []);
  assert.deepEqual(bucketsOf(bytes("ab"), { hash: 1, minN: 1, maxN: 6, buckets: 0 }), []);
});
