// Compiles spec/qemb.ksy to build/: a reader in JavaScript, one in Python, and what else the adapters take from the grammar.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import compiler from "kaitai-struct-compiler";
import { parse } from "yaml";

const at = (path) => new URL(path, import.meta.url);
const grammar = parse(readFileSync(at("../../../spec/qemb.ksy"), "utf8"));
const className = (id) => id.split("_").map((word) => word[0].toUpperCase() + word.slice(1)).join("");

mkdirSync(at("build"), { recursive: true });
for (const [language, extension] of [["javascript", "js"], ["python", "py"]]) {
  const [source] = Object.values(await compiler.compile(language, grammar));
  writeFileSync(at(`build/qemb_ksy.${extension}`), source); // in Python `qemb` is the codec
}

const fields = {}; // of each class, but constants and other structures
const rules = {}; // of each class or group: [instance, error code] in the order of the checks
const errors = {}; // the code of a field that is not `valid`, by its path
for (const [id, type] of Object.entries({ qemb: grammar, ...grammar.types })) {
  fields[className(id)] = (type.seq ?? []).filter((field) => !field.contents && !(field.type instanceof Object)).map((field) => field.id);
  for (const [name, instance] of Object.entries(type.instances ?? {})) {
    if (instance["-error"]) (rules[instance["-group"] ?? className(id)] ??= []).push([name, instance["-error"]]);
  }
  type.seq?.forEach((field, index) => {
    if (field["-error"]) errors[`/types/${id}/seq/${index}`] = field["-error"];
  });
}
writeFileSync(at("build/grammar.json"), JSON.stringify({ fields, rules, errors }, null, 1));
