// A file server with byte ranges, for the page and for tests: node page/serve.mjs [FILE.qemb ...]

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { basename, extname, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
/** What the page consists of. */
const OPEN = ["page", "src", `node_modules${sep}zstddec`].map((folder) => resolve(ROOT, folder) + sep);
const TYPES = /** @type {Record<string, string>} */ ({
  ".html": "text/html; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
});

/**
 * @typedef {object} Served
 * @property {string} url of the folder that this file's folder is in
 * @property {{method: string, path: string, status: number, bytes: number}[]} log of the answers given so far
 * @property {() => Promise<void>} close
 */

/**
 * @param {object} [options]
 * @param {Record<string, string>} [options.files] paths by the names under which they are served, in /files/
 * @param {boolean} [options.ranges] whether ranges are given
 * @param {string} [options.origin] pages of which other origin may read the answers
 * @param {number} [options.port]
 * @returns {Promise<Served>}
 */
export async function serve({ files = {}, ranges = true, origin, port = 0 } = {}) {
  /** @type {Served["log"]} */
  const log = [];
  const server = createServer(async (request, response) => {
    const path = pathOf(request.url);
    const entry = { method: request.method ?? "", path, status: 404, bytes: 0 };
    log.push(entry);
    const file = locate(path, files);
    const found = file ? await stat(file).catch(() => undefined) : undefined;
    if (origin) response.setHeader("access-control-allow-origin", origin);
    if (path === "/") {
      entry.status = 302;
      response.writeHead(302, { location: "/page/" }).end();
      return;
    }
    if (!file || !found?.isFile()) {
      response.writeHead(404).end();
      return;
    }
    const range = ranges ? rangeOf(request.headers.range, found.size) : undefined;
    entry.status = range === null ? 416 : range ? 206 : 200;
    response.setHeader("content-type", TYPES[extname(file)] ?? "application/octet-stream");
    response.setHeader("etag", `"${found.size.toString(16)}-${Math.floor(found.mtimeMs).toString(16)}"`);
    if (ranges) response.setHeader("accept-ranges", "bytes");
    if (range === null) {
      response.writeHead(416, { "content-range": `bytes */${found.size}` }).end();
      return;
    }
    if (range) response.setHeader("content-range", `bytes ${range.start}-${range.end}/${found.size}`);
    const size = range ? range.end - range.start + 1 : found.size;
    response.writeHead(entry.status, { "content-length": size });
    if (request.method === "HEAD" || size === 0) {
      response.end();
      return;
    }
    const stream = createReadStream(file, range);
    stream.on("data", (piece) => (entry.bytes += piece.length));
    response.on("close", () => stream.destroy());
    stream.pipe(response);
  });
  await new Promise((done) => server.listen(port, "127.0.0.1", () => done(undefined)));
  const address = /** @type {import("node:net").AddressInfo} */ (server.address());
  return {
    url: `http://127.0.0.1:${address.port}/`,
    log,
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}

/** @param {string} [url] @returns {string} empty where it is none */
function pathOf(url = "") {
  try {
    return decodeURIComponent(new URL(url, "http://localhost").pathname);
  } catch {
    return "";
  }
}

/**
 * @param {string} path
 * @param {Record<string, string>} files
 */
function locate(path, files) {
  const name = path.startsWith("/files/") ? path.slice("/files/".length) : undefined;
  if (name !== undefined) return Object.hasOwn(files, name) ? files[name] : undefined;
  const file = resolve(ROOT, `.${path}${path.endsWith("/") ? "index.html" : ""}`);
  return OPEN.some((folder) => file.startsWith(folder)) ? file : undefined;
}

/**
 * One range; nothing where none is asked for, null where there are no such bytes.
 * @param {string | undefined} header
 * @param {number} size
 */
function rangeOf(header, size) {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? "");
  if (!match || (match[1] === "" && match[2] === "")) return undefined;
  const start = match[1] === "" ? Math.max(size - Number(match[2]), 0) : Number(match[1]);
  const end = match[1] === "" || match[2] === "" ? size - 1 : Math.min(Number(match[2]), size - 1);
  return start <= end ? { start, end } : null;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const files = Object.fromEntries(process.argv.slice(2).map((path) => [basename(path), path]));
  const { url } = await serve({ files, port: Number(process.env.PORT ?? 8000) });
  console.log(`${url}page/`);
  for (const name of Object.keys(files)) console.log(`${url}page/?url=/files/${encodeURIComponent(name)}`);
}
