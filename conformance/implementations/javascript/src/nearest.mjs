/**
 * Rows in the direction of a vector, by cosine; rows of zeros, or not finite, have none and are left out.
 * @param {import("./rows.mjs").RowReader} rows
 * @param {number} count of rows to look at, from the first
 * @param {Float32Array} vector
 * @param {number} k
 * @param {number} except a row to leave out, or -1
 * @param {(fraction: number) => void} [onProgress]
 * @returns {Promise<{row: number, score: number}[]>} greatest score first, then lowest row
 */
export async function nearestRows(rows, count, vector, k, except, onProgress) {
  const { dim } = rows;
  /** @type {{row: number, score: number}[]} */
  const best = [];
  const length = norm(vector, 0, dim);
  if (!(length > 0 && length < Infinity) || k < 1) return best;
  for await (const { from, to, values } of rows.chunks(0, count)) {
    for (let row = from; row < to; row++) {
      const at = (row - from) * dim;
      let dot = 0;
      for (let j = 0; j < dim; j++) dot += values[at + j] * vector[j];
      const score = dot / (norm(values, at, dim) * length);
      if (row === except || !Number.isFinite(score)) continue;
      if (best.length === k && score <= best[k - 1].score) continue;
      let place = best.length;
      while (place > 0 && best[place - 1].score < score) place -= 1;
      best.splice(place, 0, { row, score });
      best.length = Math.min(best.length, k);
    }
    onProgress?.(to / count);
  }
  return best;
}

/** @param {Float32Array} values @param {number} at @param {number} dim */
function norm(values, at, dim) {
  let squares = 0;
  for (let i = at; i < at + dim; i++) squares += values[i] * values[i];
  return Math.sqrt(squares);
}
