// Adapter of the JavaScript reader that Kaitai Struct generates: profile `structure`, and the fields of check 4 besides.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import KaitaiStream from "kaitai-struct/KaitaiStream.js";
import generated from "./build/qemb_ksy.js";

const { Qemb } = generated;
const GRAMMAR = JSON.parse(readFileSync(new URL("build/grammar.json", import.meta.url), "utf8"));
const MAGIC = [0x89, 0x51, 0x45, 0x4d, 0x42, 0x0d, 0x0a, 0x1a];
const STRUCTURES = { QUAN: "quantization", TRNS: "transform", SUBW: "subword" };

// What the runtime lacks: integers that a double does not hold, and the path of a field that is not valid.
KaitaiStream.prototype.readU8le = function () {
  const low = this.readU4le();
  const value = (BigInt(this.readU4le()) << 32n) | BigInt(low);
  return value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
};
class Invalid extends Error {
  constructor(...parameters) {
    super();
    this.path = parameters.at(-1);
  }
}
KaitaiStream.ValidationNotEqualError = KaitaiStream.ValidationExprError = Invalid;

// The first check that fails, by its code.
class Rejected extends Error {}

function check(holds, code) {
  if (!holds) throw new Rejected(code);
}

// Asks for the rules of a type, in their order.
function checkRules(parsed, group) {
  for (const [name, code] of GRAMMAR.rules[group]) check(parsed[camelCase(name)], code);
}

function camelCase(id) {
  return id.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
}

function crc32c(data) {
  let value = 0xffffffff;
  for (const byte of data) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? 0x82f63b78 : 0);
  }
  return (value ^ 0xffffffff) >>> 0;
}

// A file that is read as the grammar says, with the checks 1 to 4 in their order.
class Checked extends Qemb {
  _read() {
    this.header = new Qemb.Header(this._io, this, this);
    check(crc32c(this.stored(0, 60)) === this.header.headerCrc, "malformed.header_checksum");
    checkRules(this.header, "Header");
    const table = this.stored(64, 40 * this.header.sectionCount);
    check(crc32c(table) === this.header.tableCrc, "malformed.table_checksum");
    this.sections = [];
    for (let index = 0; index < this.header.sectionCount; index++) {
      const entry = new KaitaiStream(table.slice(40 * index, 40 * index + 40));
      this.sections.push(new Qemb.SectionEntry(entry, this, this, index));
      checkRules(this.sections[index], "SectionEntry");
    }
    checkRules(this, "Qemb");
    const byName = new Map(this.sections.map((section) => [section.name, section]));
    for (const name of ["QUAN", "TOKO", "TOKB"]) check(byName.has(name), "invalid.missing_section");
    this.structures = Object.keys(STRUCTURES).filter((name) => byName.has(name)).map((name) => byName.get(name));
    for (const section of this.structures) {
      checkRules(section, "structure");
      check(crc32c(this.stored(section.offset, section.storedSize)) === section.crc, "malformed.section_checksum");
    }
    for (const section of this.structures) checkRules(section.body, section.body.constructor.name);
    check(byName.has("SUBW") || this.header.rows === this.header.tokens, "invalid.counts");
  }

  stored(offset, size) {
    this._io.seek(offset);
    return this._io.readBytes(size);
  }
}

// A field as the protocol has it.
function written(name, value) {
  if (value instanceof Uint8Array) return String.fromCharCode(...value);
  return name.endsWith("crc") ? value.toString(16).padStart(8, "0") : String(value);
}

function fields(parsed) {
  const names = GRAMMAR.fields[parsed.constructor.name];
  return Object.fromEntries(names.map((name) => [name, written(name, parsed[camelCase(name)])]));
}

// Exit code and output for one file.
function answer(data) {
  let file;
  try {
    check(data.subarray(0, 8).every((byte, index) => byte === MAGIC[index]), "malformed.magic");
    check(data.length >= 64, "malformed.truncated");
    file = new Checked(new KaitaiStream(data));
  } catch (error) {
    if (error instanceof Rejected) return [1, { error: error.message }];
    if (error instanceof Invalid) return [1, { error: GRAMMAR.errors[error.path], message: error.path }];
    throw error;
  }
  const output = { header: fields(file.header), sections: file.sections.map(fields) };
  for (const section of file.structures) output[STRUCTURES[section.name]] = fields(section.body);
  Object.assign(output.quantization, fields(file.quantization.parameters));
  return [0, output];
}

if (process.argv.includes("--jsonl")) {
  for await (const line of createInterface({ input: process.stdin })) {
    const [code, output] = answer(readFileSync(JSON.parse(line).file));
    process.stdout.write(`${JSON.stringify({ exit: String(code), output })}\n`);
  }
} else {
  const [code, output] = answer(readFileSync(0));
  process.stdout.write(`${JSON.stringify(output)}\n`);
  process.exitCode = code;
}
