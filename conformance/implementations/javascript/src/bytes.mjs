// Numbers out of bytes. Typed arrays have the byte order of the machine, files are little-endian.

const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** @param {Uint8Array} bytes */
export const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/**
 * A copy of bytes, in the machine's order and aligned.
 * @param {Uint8Array} bytes
 * @param {2 | 4 | 8} size of an element
 */
function aligned(bytes, size) {
  const copy = new Uint8Array(bytes);
  if (!LITTLE_ENDIAN) for (let at = 0; at < copy.length; at += size) copy.subarray(at, at + size).reverse();
  return copy.buffer;
}

/** @param {Uint8Array} bytes */
export const toUint16 = (bytes) => new Uint16Array(aligned(bytes, 2));
/** @param {Uint8Array} bytes */
export const toUint32 = (bytes) => new Uint32Array(aligned(bytes, 4));
/** @param {Uint8Array} bytes */
export const toUint64 = (bytes) => new BigUint64Array(aligned(bytes, 8));
/** @param {Uint8Array} bytes */
export const toFloat32 = (bytes) => new Float32Array(aligned(bytes, 4));

/**
 * An integer of 64 bits: exact below 2^53, above it merely as large.
 * @param {DataView} view
 * @param {number} at
 */
export const uint64 = (view, at) => view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;

/**
 * The bits of the float32 that equals a float16; NaNs keep their payload (QEMB-IEE-01).
 * @param {number} half
 */
export function float16Bits(half) {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >> 10) & 31;
  const fraction = half & 0x3ff;
  if (exponent === 31) return (sign | 0x7f800000 | (fraction << 13)) >>> 0;
  if (exponent > 0) return (sign | ((exponent + 112) << 23) | (fraction << 13)) >>> 0;
  if (fraction === 0) return sign >>> 0;
  const shift = Math.clz32(fraction) - 21; // until the leading bit stands where the implied one does
  return (sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13)) >>> 0;
}

/**
 * float16 to float32.
 * @param {Uint8Array} bytes
 */
export function halvesToFloat32(bytes) {
  const halves = toUint16(bytes);
  const bits = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) bits[i] = float16Bits(halves[i]);
  return new Float32Array(bits.buffer);
}
