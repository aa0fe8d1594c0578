import assert from "node:assert/strict";
import { test } from "node:test";

import { decompress } from "../src/zstd.mjs";

const bytes = (/** @type {string} */ hex) => new Uint8Array(Buffer.from(hex, "hex"));

// "embedding" 40 times, as zstd 1.5 packs it: with size and checksum, without a size, with a dictionary
const FRAME = "28b52ffd64680085000048656d62656464696e6701005c54cb11a631314d";
const WITHOUT_SIZE = "28b52ffd000085000048656d62656464696e6701005c54cb11";
const WITH_DICTIONARY = "28b52ffd6068004d00000002005c2c0a509b40";
const SIZE = 360;

/** @param {string} hex @param {number} [size] */
async function faultOf(hex, size = SIZE) {
  const found = await decompress(bytes(hex), size);
  return typeof found === "string" ? found : assert.fail("taken");
}

test("a frame becomes what was packed", async () => {
  assert.equal(
    Buffer.from(/** @type {Uint8Array} */ (await decompress(bytes(FRAME), SIZE))).toString(),
    "embedding".repeat(40),
  );
});

test("a frame whose checksum is wrong is refused", async () => {
  assert.match(await faultOf(FRAME.slice(0, -2) + "4c"), /decompress/);
});

test("a frame with damage anywhere never decompresses to something else", async () => {
  for (let at = 0; at < FRAME.length / 2; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const frame = bytes(FRAME);
      frame[at] ^= 1 << bit;
      const found = await decompress(frame, SIZE);
      // the bits that say nothing here: unused, of the descriptor
      if (typeof found !== "string")
        assert.equal(Buffer.from(found).toString(), "embedding".repeat(40), `${at}.${bit}`);
    }
    assert.equal(typeof (await decompress(bytes(FRAME).subarray(0, at), SIZE)), "string");
  }
});

test("exactly one frame of the right size is taken", async () => {
  assert.match(await faultOf(FRAME + "00"), /followed/);
  assert.match(await faultOf(FRAME + FRAME, 2 * SIZE), /declares 360/);
  assert.match(await faultOf(FRAME, SIZE + 1), /declares 360/);
  assert.match(await faultOf(WITHOUT_SIZE), /does not declare/);
  assert.match(await faultOf("502a4d1804000000" + "00000000" + FRAME), /no Zstandard frame/);
  assert.match(await faultOf(""), /no Zstandard frame/);
});

test("a dictionary is neither asked for nor made up", async () => {
  // without an identifier, the frame reaches back past its beginning
  assert.match(await faultOf(WITH_DICTIONARY), /decompress/);
  assert.match(await faultOf("28b52ffd6107680085000048656d62656464696e6701005c54cb11"), /dictionary/);
});

test("a frame that claims a terabyte is refused for its claim", async () => {
  assert.match(await faultOf("28b52ffde0" + "0000000000010000" + "00".repeat(14)), /declares 1099511627776/);
});
