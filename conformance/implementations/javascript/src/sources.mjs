// Where the bytes of a file come from. Small reads of anything but memory go through a cache of blocks.

import { QembError } from "./errors.mjs";

/**
 * @typedef {object} Source
 * @property {number} size of the file in bytes
 * @property {(from: number, size: number) => Promise<Uint8Array>} read exactly these bytes; `from + size` is at most `size`
 * @property {() => Promise<void>} close
 */

const EMPTY = new Uint8Array(0);

/**
 * What the system answers; its errors say what and where by themselves.
 * @template T
 * @param {Promise<T>} answer
 */
async function reading(answer) {
  try {
    return await answer;
  } catch (cause) {
    throw new QembError("source.unreachable", /** @type {Error} */ (cause).message, { cause });
  }
}

/** @implements {Source} */
export class BytesSource {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.size = bytes.length;
  }

  /** @param {number} from @param {number} size */
  async read(from, size) {
    return this.bytes.subarray(from, from + size);
  }

  async close() {}
}

/** @implements {Source} */
export class BlobSource {
  /** @param {Blob} blob */
  constructor(blob) {
    this.blob = blob;
    this.size = blob.size;
  }

  /** @param {number} from @param {number} size */
  async read(from, size) {
    return new Uint8Array(await reading(this.blob.slice(from, from + size).arrayBuffer()));
  }

  async close() {}
}

/** A file on disk, in Node. @implements {Source} */
export class PathSource {
  /** @param {string | URL} path */
  static async open(path) {
    const { open } = await import("node:fs/promises");
    const handle = await reading(open(path));
    const { size } = await handle.stat();
    return new PathSource(handle, size);
  }

  /**
   * @param {import("node:fs/promises").FileHandle} handle
   * @param {number} size
   */
  constructor(handle, size) {
    this.handle = handle;
    this.size = size;
  }

  /** @param {number} from @param {number} size */
  async read(from, size) {
    const bytes = new Uint8Array(size);
    for (let done = 0; done < size;) {
      // a call of the system moves less than 2 GiB
      const { bytesRead } = await reading(this.handle.read(bytes, done, Math.min(size - done, 2 ** 30), from + done));
      if (bytesRead === 0) throw new QembError("source.changed", "the file became shorter while it was read");
      done += bytesRead;
    }
    return bytes;
  }

  async close() {
    await this.handle.close();
  }
}

/**
 * Reads another source in whole blocks, in as few requests as that takes, and keeps the latest. Large reads pass through.
 * @implements {Source}
 */
export class CachedSource {
  /**
   * @param {Source} source
   * @param {number} blockSize in bytes
   * @param {number} [capacity] blocks that are kept
   */
  constructor(source, blockSize, capacity = 1024) {
    this.source = source;
    this.size = source.size;
    this.blockSize = blockSize;
    this.capacity = capacity;
    /** Least recently used first. @type {Map<number, Promise<Uint8Array>>} */
    this.blocks = new Map();
  }

  /** @param {number} from @param {number} size */
  async read(from, size) {
    if (size === 0) return EMPTY;
    if (size > (this.capacity * this.blockSize) / 4) return this.source.read(from, size);
    const first = Math.floor(from / this.blockSize);
    const last = Math.floor((from + size - 1) / this.blockSize);
    const blocks = await Promise.all(this.take(first, last));
    const start = from - first * this.blockSize;
    if (blocks.length === 1) return blocks[0].subarray(start, start + size);
    const bytes = new Uint8Array(size);
    let done = 0;
    for (const block of blocks) {
      const piece = block.subarray(done ? 0 : start, (done ? 0 : start) + size - done);
      bytes.set(piece, done);
      done += piece.length;
    }
    return bytes;
  }

  /**
   * @param {number} first
   * @param {number} last
   * @returns {Promise<Uint8Array>[]}
   */
  take(first, last) {
    const blocks = [];
    for (let number = first; number <= last; number++) {
      const block = this.blocks.get(number);
      if (block === undefined) {
        let end = number;
        while (end < last && !this.blocks.has(end + 1)) end++;
        this.request(number, end);
        number -= 1; // again: it is there now
        continue;
      }
      this.blocks.delete(number);
      this.blocks.set(number, block);
      blocks.push(block);
    }
    for (const number of this.blocks.keys()) {
      if (this.blocks.size <= this.capacity) break;
      this.blocks.delete(number);
    }
    return blocks;
  }

  /**
   * Ask for a run of blocks at once.
   * @param {number} first
   * @param {number} last
   */
  request(first, last) {
    const from = first * this.blockSize;
    const run = this.source.read(from, Math.min((last + 1) * this.blockSize, this.size) - from);
    for (let number = first; number <= last; number++) {
      const start = (number - first) * this.blockSize;
      // a copy, so that no block holds on to the run that it came in
      const block = run.then((bytes) => bytes.slice(start, start + this.blockSize));
      this.blocks.set(number, block);
      block.catch(() => this.blocks.get(number) === block && this.blocks.delete(number));
    }
  }

  /**
   * Put in what has been read already, from the beginning of the file.
   * @param {Uint8Array} bytes whole blocks, or the whole file
   */
  prime(bytes) {
    for (let start = 0; start < bytes.length; start += this.blockSize) {
      this.blocks.set(start / this.blockSize, Promise.resolve(bytes.slice(start, start + this.blockSize)));
    }
  }

  async close() {
    this.blocks.clear();
    await this.source.close();
  }
}
