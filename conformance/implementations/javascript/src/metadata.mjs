// META (section 5.1): JSON without its corners.

const MAX_DEPTH = 32;

/** What is wrong with metadata. */
export class MetadataFault {
  /** @param {string} code @param {string} what */
  constructor(code, what) {
    this.code = code;
    this.what = what;
  }
}

/**
 * @param {Uint8Array} bytes
 * @returns {Record<string, unknown> | MetadataFault}
 */
export function parseMetadata(bytes) {
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return new MetadataFault("malformed.metadata", "the metadata are not UTF-8");
  }
  if (depthOf(text) > MAX_DEPTH) return new MetadataFault("invalid.metadata", "brackets nest more than 32 deep");
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return new MetadataFault("malformed.metadata", `the metadata are no JSON: ${/** @type {Error} */ (error).message}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return new MetadataFault("invalid.metadata", "the metadata are no JSON object");
  }
  const key = repeatedKey(text);
  return key === undefined ? value : new MetadataFault("invalid.metadata", `the key ${key} stands twice in an object`);
}

/** Strings and punctuation of a text, whether it is JSON or not. @param {string} text */
function* tokensOf(text) {
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '"') {
      let end = at + 1;
      while (end < text.length && text[end] !== '"') end += text[end] === "\\" ? 2 : 1;
      yield text.slice(at, end + 1);
      at = end;
    } else if ("[]{}:".includes(character)) {
      yield character;
    }
  }
}

/** @param {string} text */
function depthOf(text) {
  let depth = 0;
  let greatest = 0;
  for (const token of tokensOf(text)) {
    if (token === "[" || token === "{") greatest = Math.max(greatest, ++depth);
    else if (token === "]" || token === "}") depth -= 1;
  }
  return greatest;
}

/** @param {string} text JSON */
function repeatedKey(text) {
  /** Keys of the objects that are open; nothing for an array. @type {(Set<string> | undefined)[]} */
  const open = [];
  let latest = "";
  for (const token of tokensOf(text)) {
    if (token === "{") open.push(new Set());
    else if (token === "[") open.push(undefined);
    else if (token === "}" || token === "]") open.pop();
    else if (token === ":") {
      const keys = open[open.length - 1];
      const key = JSON.parse(latest);
      if (keys?.has(key)) return latest;
      keys?.add(key);
    }
    latest = token;
  }
  return undefined;
}
