"""Keep the specification and the code one: write the generated parts of the spec, or check that they are current.

    python spec/build.py           write tables, lists and examples into spec/
    python spec/build.py --check   exit 1 where a file would change, and say which

Field tables come from the construct declarations of the codec, the list of requirements from the text of ``qemb.md``,
the table of errors from ``errors.json``, which is checked against the codes that the codec raises, and the worked
examples from real files that the codec writes. ``qemb.ksy`` is written by hand: its structures, kinds, requirements and
codes are checked.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from itertools import zip_longest
from pathlib import Path
from typing import Any

import examples
import yaml
from construct import Bytes, Const, Construct, FormatField, Switch

from qemb import layout
from qemb.encode.normal import NORMAL_LEVELS, NORMAL_SPREAD

HERE = Path(__file__).resolve().parent
CODEC = HERE.parent / "codec" / "qemb"
FLAGS = {0: "ancillary", 1: "critical", 2: "ancillary, copy-safe", 3: "critical, copy-safe"}
STRUCTURES = (
    "Header",
    "SectionEntry",
    "FrameEntry",
    "Quantization",
    "LinearParameters",
    "CodebookParameters",
    "ProductParameters",
    "DecimalParameters",
    "IeeeParameters",
    "ExceptionEntry",
    "Transform",
    "Subword",
)
LIMITS = (
    ("`dim`", layout.MAX_DIM),
    ("sections", layout.MAX_SECTIONS),
    ("offsets, sizes, counts", layout.MAX_OFFSET - 1),
    ("raw bytes of `META`", layout.MAX_METADATA),
    ("nesting of metadata", layout.MAX_METADATA_DEPTH),
    ("bytes of a token", layout.MAX_TOKEN),
    ("raw bytes of a frame", layout.MAX_FRAME),
)


def type_name(element: Construct) -> str:
    """The specification's name for the type of a field."""
    if isinstance(element, FormatField):
        sign = "uint" if element.fmtstr[-1].isupper() else "int"
        return f"{sign}{8 * element.sizeof()}"
    if isinstance(element, Const | Bytes):
        return f"{element.sizeof()} bytes"
    if isinstance(element, Switch):
        return "8 bytes"
    raise TypeError(f"no name for {element}")


def field_table(declaration: Construct) -> str:
    """A Markdown table of the fields of a structure."""
    lines = ["| offset | type | field | meaning |", "|---:|---|---|---|"]
    offset = 0
    for field in declaration.subcons:
        element = layout.unwrap(field)
        lines.append(f"| {offset} | {type_name(element)} | `{field.name}` | {field.docs} |")
        offset += 8 if isinstance(element, Switch) else element.sizeof()
    return "\n".join([*lines, "", f"{offset} bytes."])


def kinds_table() -> str:
    """Every kind of section, its flags and its elements."""
    lines = ["| kind | flags | elements | holds |", "|---|---|---|---|"]
    lines += [f"| `{k.kind}` | {FLAGS[k.flags]} | {k.element} | {k.doc} |" for k in layout.KINDS.values()]
    return "\n".join(lines)


def codebook_table() -> str:
    """The published codebooks."""
    lines = [
        "| bits | levels, each with both signs, ascending codes for ascending levels | deviation |",
        "|---|---|---:|",
    ]
    lines += [
        f"| {bits} | {', '.join(map(str, half))} | {NORMAL_SPREAD[bits]} |" for bits, half in NORMAL_LEVELS.items()
    ]
    return "\n".join(lines)


def limits_table() -> str:
    """The limits of the format."""
    return "\n".join(["| what | at most |", "|---|---:|", *(f"| {what} | {most:,} |" for what, most in LIMITS)])


def errors_table() -> str:
    """The error codes, out of errors.json."""
    entries = json.loads((HERE / "errors.json").read_text("utf-8"))["errors"]

    def table(of: str) -> list[str]:
        rows = [f"| `{entry['code']}` | {entry['when']} |" for entry in entries if entry["of"] == of]
        return ["| code | when |", "|---|---|", *rows]

    return "\n".join([*table("file"), "", "A writer uses these besides, for what it is given:", "", *table("input")])


def contents(text: str) -> str:
    """The table of contents."""
    titles = re.findall(r"^## (.+)$", text, re.MULTILINE)
    return "\n".join(f"- [{title}](#{anchor(title)})" for title in titles)


def anchor(title: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def fill(text: str) -> str:
    """The text of the specification with everything generated put in its place."""
    parts = {f"table: {name}": field_table(getattr(layout, name)) for name in STRUCTURES}
    parts |= {
        "table: kinds": kinds_table(),
        "table: codebooks": codebook_table(),
        "table: errors": errors_table(),
        "table: limits": limits_table(),
        "toc": contents(text),
        "examples": examples.document(),
    }
    for mark, part in parts.items():
        pattern = re.compile(rf"<!-- {re.escape(mark)} -->\n.*?<!-- end -->", re.DOTALL)
        filled, count = pattern.subn(lambda _, mark=mark, part=part: f"<!-- {mark} -->\n{part}\n<!-- end -->", text)
        if count != 1:
            raise SystemExit(f"qemb.md: the mark <!-- {mark} --> stands {count} times, not once")
        text = filled
    return text


def requirements(text: str) -> str:
    """requirements.json: every requirement, the clause it stands in, its text, the error codes it names."""
    found = []
    clause = ""
    paragraph: list[str] = []

    def finish() -> None:
        match = re.match(r"\*\*(QEMB-[A-Z]{3}-\d\d)\*\* (.*)", " ".join(paragraph))
        if match:
            identifier, words = match.groups()
            codes = re.findall(r"`((?:malformed|invalid|unsupported|limit)\.\w+)`", words)
            found.append({"id": identifier, "clause": clause, "text": words, "errors": list(dict.fromkeys(codes))})
        paragraph.clear()

    for line in text.splitlines():
        if line.startswith("#"):
            finish()
            clause = line.lstrip("# ").split(" ")[0].rstrip(".")
        elif not line.strip():
            finish()
        else:
            paragraph.append(line.strip())
    finish()
    identifiers = [entry["id"] for entry in found]
    mentioned = set(re.findall(r"QEMB-[A-Z]{3}-\d\d", text))
    if len(set(identifiers)) != len(identifiers) or mentioned != set(identifiers):
        raise SystemExit(f"qemb.md: requirement ids repeated or unknown: {sorted(mentioned ^ set(identifiers))}")
    return json.dumps({"version": "1.0", "requirements": found}, indent=1, ensure_ascii=False) + "\n"


def check_errors(text: str) -> list[str]:
    """Where errors.json, the text of the specification and the codec name different codes."""
    entries = json.loads((HERE / "errors.json").read_text("utf-8"))["errors"]
    listed = {entry["code"] for entry in entries}
    of_files = {entry["code"] for entry in entries if entry["of"] == "file"}
    pattern = re.compile(r"[\"`]((?:malformed|invalid|unsupported|limit)\.\w+)[\"`]")
    raised = {
        code
        for path in CODEC.rglob("*.py")
        for code in re.findall(r"\"((?:malformed|invalid|unsupported|limit)\.\w+)\"", path.read_text("utf-8"))
    }
    normative = re.sub(r"<!-- table: errors -->.*?<!-- end -->", "", text, flags=re.DOTALL)
    named = set(pattern.findall(normative))
    problems = []
    for title, codes in (
        ("raised by the codec, not in errors.json", raised - listed),
        ("in errors.json, not raised by the codec", listed - raised),
        ("in qemb.md, not in errors.json", named - listed),
        ("in errors.json for files, in no requirement of qemb.md", of_files - named),
    ):
        problems += [f"{code}: {title}" for code in sorted(codes)]
    return problems


def kaitai_type(element: Construct) -> str:
    """What ``qemb.ksy`` says of the size and sign of a field."""
    if isinstance(element, FormatField):
        return f"{'u' if element.fmtstr[-1].isupper() else 's'}{element.sizeof()}"
    return "8 bytes" if isinstance(element, Switch) else f"{element.sizeof()} bytes"


def check_kaitai(text: str) -> list[str]:
    """Where ``qemb.ksy`` differs from the declarations, or names what the specification does not have."""
    source = (HERE / "qemb.ksy").read_text("utf-8")
    types = yaml.safe_load(source)["types"]

    def described(field: dict[str, Any]) -> str:
        constant = b"".join(
            part.encode() if isinstance(part, str) else bytes([part]) for part in field.get("contents", ())
        )
        return f"{field.get('size', len(constant))} bytes" if "size" in field or constant else str(field["type"])

    problems = []
    for name in STRUCTURES:
        declared = [(field.name, kaitai_type(layout.unwrap(field))) for field in getattr(layout, name).subcons]
        found = [(field["id"], described(field)) for field in types[re.sub(r"\B([A-Z])", r"_\1", name).lower()]["seq"]]
        problems += [f"qemb.ksy: {name}: {a} is not {b}" for a, b in zip_longest(found, declared) if a != b]
    for instance, flags in (("critical_kind", {layout.FLAG_CRITICAL}), ("ancillary_kind", {0, layout.FLAG_COPY_SAFE})):
        kinds = set(re.findall(r'"(....)"', types["section_entry"]["instances"][instance]["value"]))
        if kinds != {kind.kind for kind in layout.KINDS.values() if kind.flags in flags}:
            problems.append(f"qemb.ksy: {instance} is not what the table of kinds says")
    identifiers = set(re.findall(r"QEMB-[A-Z]{3}-\d\d", text))
    codes = {entry["code"] for entry in json.loads((HERE / "errors.json").read_text("utf-8"))["errors"]}
    unknown = set(re.findall(r"QEMB-[A-Z]{3}-\d\d", source)) - identifiers
    unknown |= set(re.findall(r"-error: (\S+)", source)) - codes
    return problems + [f"qemb.ksy: {name} does not exist" for name in sorted(unknown)]


def main() -> int:
    """Write or check; the exit status."""
    parser = argparse.ArgumentParser(description="Write, or check, the generated parts of the specification.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where something is out of date")
    check = parser.parse_args().check
    text = fill((HERE / "qemb.md").read_text("utf-8"))
    wanted: dict[Path, bytes] = {
        HERE / "qemb.md": text.encode("utf-8"),
        HERE / "requirements.json": requirements(text).encode("utf-8"),
    }
    wanted |= {HERE / "examples" / name: data for name, data in examples.files().items()}
    problems = check_errors(text) + check_kaitai(text)
    stale = [path for path, data in wanted.items() if not path.exists() or path.read_bytes() != data]
    if check:
        problems += [f"{path.relative_to(HERE.parent)} is out of date: run python spec/build.py" for path in stale]
    else:
        for path in stale:
            path.write_bytes(wanted[path])
            print(f"wrote {path.relative_to(HERE.parent)}")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
