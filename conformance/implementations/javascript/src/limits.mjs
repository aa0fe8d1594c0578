// What a file may cost whoever reads it (QEMB-LIM-01): a kilobyte of zstd frames can stand for gigabytes.

import { QembError } from "./errors.mjs";

/**
 * A file is refused that decodes to more than both allow. Counted are the raw bytes of every section, 4 for each value
 * of the table and each sign of the rotation, and 64 for each token.
 * @typedef {object} Limits
 * @property {number} decodedSize bytes that any file may decode to, however small it is
 * @property {number} expansion bytes that it may decode to for each byte that it has
 */

/** @type {Limits} */
export const LIMITS = { decodedSize: 2 ** 25, expansion: 160 };

const VALUE = 4;
const TOKEN = 64;

/**
 * @param {import("./header.mjs").Header} header
 * @param {import("./descriptor.mjs").Sections} sections
 * @param {number} rounds of the transform, 0 without one
 * @param {Limits} limits
 * @throws {QembError}
 */
export function checkLimits({ fileSize, rows, dim, tokens }, sections, rounds, { decodedSize, expansion }) {
  const raw = Array.from(sections.values()).reduce((sum, { size }) => sum + size, 0);
  const decoded = raw + VALUE * (rows + rounds) * dim + TOKEN * tokens;
  if (decoded <= Math.max(decodedSize, expansion * fileSize)) return;
  const what = `a file of ${fileSize} bytes that decodes to ${decoded}: open it with {limits: null} if that is right`;
  throw new QembError("limit.memory", what, { where: "header" });
}
