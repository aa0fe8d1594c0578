/** What is wrong with a file, or with getting at its bytes. */
export class QembError extends Error {
  /**
   * @param {string} code out of spec/errors.json, or `source.*` where the bytes could not be had
   * @param {string} what one line
   * @param {{where?: string, offset?: number, cause?: unknown}} [context]
   */
  constructor(code, what, { where = "", offset, cause } = {}) {
    const place = [where, offset === undefined ? "" : `byte ${offset}`].filter(Boolean).join(", ");
    super(place ? `${place}: ${what}` : what, cause === undefined ? undefined : { cause });
    this.name = "QembError";
    this.code = code;
    /** The structure or section, `"header"` or `"SCAL"` for instance; empty where it is the file as a whole. */
    this.where = where;
    /** The byte of the file where it stands, if there is one. */
    this.offset = offset;
  }
}

/** @param {string} what @returns {QembError} */
export const tooLarge = (what) => new QembError("limit.memory", `${what} is more than this reader holds in memory`);
