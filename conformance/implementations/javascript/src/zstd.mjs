// One Zstandard frame (RFC 8878) at a time, and strictly: QEMB-FRM-05. The decoder itself, zstd's own in WebAssembly, is
// loaded with the first frame that is compressed. It checks what is in a frame, its checksum too; but it takes several
// frames one after the other for one, skips skippable ones, and gives out memory as asked, so that the frame is walked
// through here before.

import { viewOf } from "./bytes.mjs";
import { QembError } from "./errors.mjs";

const MAGIC = 0xfd2fb528;
const RLE = 1;
const RESERVED = 3;

/** @type {Promise<import("zstddec").ZSTDDecoder> | undefined} */
let loading;

async function load() {
  try {
    const { ZSTDDecoder } = await import("zstddec");
    const decoder = new ZSTDDecoder();
    await decoder.init();
    return decoder;
  } catch (cause) {
    loading = undefined;
    const what = `compressed sections need the package zstddec, which cannot be loaded: ${/** @type {Error} */ (cause).message}`;
    throw new QembError("unsupported.codec", what, { cause });
  }
}

/**
 * The content of one frame.
 * @param {Uint8Array} frame
 * @param {number} size of its content, at most 2^24
 * @returns {Promise<Uint8Array | string>} or what is wrong with it
 */
export async function decompress(frame, size) {
  const fault = faultOf(frame, size);
  if (fault) return fault;
  const decoder = await (loading ??= load());
  try {
    const content = decoder.decode(frame, size);
    return content.length === size ? content : "does not decompress";
  } catch (error) {
    return `does not decompress: ${/** @type {Error} */ (error).message}`;
  }
}

/**
 * What is wrong with the outside of a frame: its header, and where its blocks end.
 * @param {Uint8Array} frame
 * @param {number} size
 */
function faultOf(frame, size) {
  const view = viewOf(frame);
  if (frame.length < 5 || view.getUint32(0, true) !== MAGIC) return "is no Zstandard frame";
  const descriptor = frame[4];
  const single = (descriptor >> 5) & 1;
  const sizeFlag = descriptor >> 6;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3];
  const sizeBytes = [single, 2, 4, 8][sizeFlag];
  const dictionaryAt = 6 - single;
  const sizeAt = dictionaryAt + dictionaryBytes;
  let at = sizeAt + sizeBytes;
  if (descriptor & 8) return "has a reserved bit set";
  if (at > frame.length) return "ends within its header";
  for (let i = dictionaryAt; i < sizeAt; i++) if (frame[i]) return "needs a dictionary";
  if (sizeBytes === 0) return "does not declare its content size";
  let declared = 0;
  for (let i = sizeBytes - 1; i >= 0; i--) declared = declared * 256 + frame[sizeAt + i];
  if (sizeBytes === 2) declared += 256;
  if (declared !== size) return `declares ${declared} bytes of content, where ${size} belong`;
  for (let last = 0; !last;) {
    if (at + 3 > frame.length) return "breaks off";
    const block = frame[at] | (frame[at + 1] << 8) | (frame[at + 2] << 16);
    last = block & 1;
    const type = (block >> 1) & 3;
    if (type === RESERVED) return "has a block of a reserved type";
    at += 3 + (type === RLE ? 1 : block >> 3);
  }
  at += descriptor & 4 ? 4 : 0;
  if (at > frame.length) return "breaks off";
  return at === frame.length ? "" : "is followed by other bytes";
}
