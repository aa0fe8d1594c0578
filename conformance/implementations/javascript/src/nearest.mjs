/**
 * Rows in the direction of a vector, by cosine; rows of zeros, or not finite, have none and are left out.
 * @param {import("./rows.mjs").RowReader} rows
 * @param {number} count of rows to look at, from the first
 * @param {Float32Array} vector
 * @param {number} k
 * @param {number} except a row to leave out, or -1
 * @param {(fraction: number) => unknown} [onProgress] waited for where it returns a promise
 * @returns {Promise<{row: number, score: number}[]>} greatest score first, then lowest row
 */
export async function nearestRows(rows, count, vector, k, except, onProgress) {
  const { dim } = rows;
  /** @type {{row: number, score: number}[]} */
  const best = [];
  const length = Math.sqrt(vector.reduce((squares, value) => squares + value * value, 0));
  if (!(length > 0 && length < Infinity) || k < 1) return best;
  for await (const { from, to, values } of rows.chunks(0, count)) {
    for (let row = from; row < to; row++) {
      const at = (row - from) * dim;
      let dot = 0;
      let squares = 0;
      for (let j = 0; j < dim; j++) {
        const value = values[at + j];
        dot += value * vector[j];
        squares += value * value;
      }
      const score = dot / (Math.sqrt(squares) * length);
      if (row === except || !Number.isFinite(score)) continue;
      if (best.length === k && score <= best[k - 1].score) continue;
      let place = best.length;
      while (place > 0 && best[place - 1].score < score) place -= 1;
      best.splice(place, 0, { row, score });
      best.length = Math.min(best.length, k);
    }
    await onProgress?.(to / count);
  }
  return best;
}
