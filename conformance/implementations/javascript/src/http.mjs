// A file behind a URL, by HTTP range requests (RFC 9110, section 14).

import { QembError } from "./errors.mjs";
import { BytesSource, CachedSource } from "./sources.mjs";

/** What is asked for first: header, section table and, mostly, the descriptor. */
const HEAD = 4096;
/** A lookup wants a few bytes in each of some ten places. */
const BLOCK = 1024;

/**
 * @typedef {object} HttpOptions
 * @property {RequestInit} [request] headers, credentials or an abort signal for every request
 * @property {boolean} [download] whether to take the whole file from a server that gives no ranges
 * @property {(bytes: number) => void} [onBytes] called with the size of what has arrived, each time something has
 */

/** The bytes that an answer holds; the size of the file is NaN where it is not told. @param {Response} response */
function rangeOf(response) {
  const match = /^bytes (?:(\d+)-(\d+)|\*)\/(\d+|\*)$/.exec(response.headers.get("content-range") ?? "");
  return match && { from: Number(match[1]), to: Number(match[2]), size: Number(match[3]) };
}

/** What changes when the file does. @param {Response} response */
function validatorOf(response) {
  return response.headers.get("etag") ?? response.headers.get("last-modified");
}

/** @typedef {import("./sources.mjs").Source} Source */

/** @implements {Source} */
export class HttpSource {
  /**
   * @param {URL} url
   * @param {HttpOptions} options
   * @returns {Promise<Source>}
   */
  static async open(url, options) {
    const source = new HttpSource(url, options);
    const response = await source.request(0, HEAD - 1);
    if (response.status === 200) return source.whole(response);
    const range = rangeOf(response);
    if (response.status === 416) return new BytesSource(new Uint8Array(0));
    const bytes = await source.body(response, HEAD);
    source.validator = validatorOf(response);
    source.size = range?.size || (await source.askSize());
    if (range ? range.from !== 0 || bytes.length !== range.to + 1 : bytes.length !== Math.min(HEAD, source.size)) {
      throw source.failed("the server sent another range than was asked for");
    }
    const cached = new CachedSource(source, BLOCK);
    if (bytes.length === Math.min(HEAD, source.size)) cached.prime(bytes);
    return cached;
  }

  /**
   * @param {URL} url
   * @param {HttpOptions} options
   */
  constructor(url, options) {
    this.url = url;
    this.options = options;
    this.size = 0;
    /** @type {string | null} */
    this.validator = null;
  }

  /**
   * @param {string} what
   * @param {string} [code]
   * @param {unknown} [cause]
   */
  failed(what, code = "source.unreachable", cause) {
    return new QembError(code, what, { where: this.url.href, cause });
  }

  /** @param {number} from @param {number} size */
  async read(from, size) {
    if (size === 0) return new Uint8Array(0);
    const response = await this.request(from, from + size - 1);
    const range = rangeOf(response);
    if (
      response.status !== 206 ||
      validatorOf(response) !== this.validator ||
      (range?.size && range.size !== this.size)
    ) {
      await response.body?.cancel();
      throw this.failed("the file changed on the server while it was read: open it again", "source.changed");
    }
    const bytes = await this.body(response, size);
    if (bytes.length !== size || (range && range.from !== from)) {
      throw this.failed("the server sent another range than was asked for");
    }
    return bytes;
  }

  /**
   * @param {number} from
   * @param {number} to the last byte
   */
  async request(from, to) {
    const headers = new Headers(this.options.request?.headers);
    headers.set("range", `bytes=${from}-${to}`);
    // The cache of a browser lets one request for a URL through at a time, and blocks are kept here anyway.
    const response = await this.fetch({ cache: "no-store", ...this.options.request, headers });
    if (!response.ok && response.status !== 416) {
      await response.body?.cancel();
      throw this.failed(`the server answered ${response.status} ${response.statusText}`.trim());
    }
    return response;
  }

  /** @param {RequestInit} init */
  async fetch(init) {
    try {
      return await fetch(this.url, init);
    } catch (cause) {
      if (this.options.request?.signal?.aborted) throw cause;
      throw this.failed(`cannot be fetched: ${describe(cause)}`, "source.unreachable", cause);
    }
  }

  /**
   * @param {Response} response
   * @param {number} most bytes that it may have
   */
  async body(response, most) {
    /** @type {Uint8Array[]} */
    const pieces = [];
    let size = 0;
    try {
      const reader = response.body?.getReader();
      for (let piece = await reader?.read(); piece?.value; piece = await reader?.read()) {
        pieces.push(piece.value);
        size += piece.value.length;
        this.options.onBytes?.(piece.value.length);
        if (size > most) break;
      }
      if (size > most) await reader?.cancel();
    } catch (cause) {
      if (this.options.request?.signal?.aborted) throw cause;
      throw this.failed(`the answer broke off: ${describe(cause)}`, "source.unreachable", cause);
    }
    const bytes = new Uint8Array(size);
    let at = 0;
    for (const piece of pieces) {
      bytes.set(piece, at);
      at += piece.length;
    }
    return bytes;
  }

  /** @param {Response} response */
  async whole(response) {
    if (this.options.download) return new BytesSource(await this.body(response, Infinity));
    await response.body?.cancel();
    throw this.failed(
      "the server gives no byte ranges, so that only the whole file can be had: ask for it with the option `download`",
      "source.no_ranges",
    );
  }

  /** Of another origin a page may see the size of a file in the answer to HEAD alone. */
  async askSize() {
    const response = await this.fetch({ cache: "no-store", ...this.options.request, method: "HEAD" });
    const size = response.headers.get("content-length");
    if (response.ok && size !== null) return Number(size);
    throw this.failed("the server does not say how large the file is: let it expose Content-Range", "source.no_ranges");
  }

  async close() {}
}

/** @param {unknown} error */
function describe(error) {
  const { message, cause } = /** @type {Error} */ (error);
  return cause instanceof Error && cause.message ? cause.message : message;
}
