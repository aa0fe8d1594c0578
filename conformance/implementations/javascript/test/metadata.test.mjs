import assert from "node:assert/strict";
import { test } from "node:test";

import { MetadataFault, parseMetadata } from "../src/metadata.mjs";

/** @param {string | Uint8Array} text */
const codeOf = (text) => {
  const found = parseMetadata(typeof text === "string" ? new TextEncoder().encode(text) : text);
  return found instanceof MetadataFault ? found.code : "";
};
/** @param {number} depth */
const nested = (depth) => `${'{"a":['.repeat(depth / 2)}${"]}".repeat(depth / 2)}`;

test("an object is taken, whatever is in its strings", () => {
  const text = '{"license": "CC0-1.0", "a\\"{[{[": ["\\\\", {"a": 1e999}, {"a": "\\ud800"}], "__proto__": null}';
  assert.equal(codeOf(text), "");
  assert.equal(codeOf(nested(32)), "");
  assert.equal(codeOf(`{"a":"${"[".repeat(100)}\\"${"[".repeat(100)}"}`), "");
});

test("what is no JSON is malformed", () => {
  for (const text of [
    "",
    "{",
    '{"a":NaN}',
    '{"a":Infinity}',
    "{'a':1}",
    '{"a":1,}',
    '{"a":01}',
    "\ufeff{}",
    "{} {}",
    '"a',
    "\u00a0{}",
  ]) {
    assert.equal(codeOf(text), "malformed.metadata", text);
  }
  for (const bad of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80]]) {
    assert.equal(codeOf(Uint8Array.from([0x7b, 0x22, ...bad, 0x22, 0x3a, 0x31, 0x7d])), "malformed.metadata");
  }
});

test("JSON against a rule is invalid", () => {
  for (const text of [
    "[]",
    "1",
    "null",
    '"a"',
    nested(34),
    "[".repeat(33),
    '{"a":1,"a":2}',
    '{"a":1,"\\u0061":2}',
    '{"x":[{"b":0,"c":{"b":1},"b":0}]}',
  ]) {
    assert.equal(codeOf(text), "invalid.metadata", text);
  }
});
