"""Adapter of the Python reader that Kaitai Struct generates: profile `structure`, and the fields of check 4 besides."""

from __future__ import annotations

import json
import sys
from io import BytesIO
from pathlib import Path

from kaitaistruct import KaitaiStream, ValidationFailedError

BUILD = Path(__file__).parent / "build"
sys.path.insert(0, str(BUILD))
from qemb_ksy import Qemb  # noqa: E402

GRAMMAR = json.loads((BUILD / "grammar.json").read_text("utf-8"))
MAGIC = b"\x89QEMB\r\n\x1a"
STRUCTURES = {"QUAN": "quantization", "TRNS": "transform", "SUBW": "subword"}


class Rejected(Exception):  # noqa: N818
    """The first check that fails, by its code."""


def check(holds: bool, code: str) -> None:  # noqa: FBT001
    """Refuse the file where a check fails."""
    if not holds:
        raise Rejected(code)


def check_rules(parsed: object, group: str) -> None:
    """Ask for the rules of a type, in their order."""
    for name, code in GRAMMAR["rules"][group]:
        check(getattr(parsed, name), code)


def crc32c(data: bytes) -> int:
    """CRC-32C, bit by bit."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


class Checked(Qemb):  # type: ignore[misc]
    """A file that is read as the grammar says, with the checks 1 to 4 in their order."""

    def _read(self) -> None:
        self.header = Qemb.Header(self._io, self, self)
        check(crc32c(self.stored(0, 60)) == self.header.header_crc, "malformed.header_checksum")
        check_rules(self.header, "Header")
        table = self.stored(64, 40 * self.header.section_count)
        check(crc32c(table) == self.header.table_crc, "malformed.table_checksum")
        self.sections = []
        for index in range(self.header.section_count):
            entry = KaitaiStream(BytesIO(table[40 * index : 40 * index + 40]))
            self.sections.append(Qemb.SectionEntry(index, entry, self, self))
            check_rules(self.sections[index], "SectionEntry")
        check_rules(self, "Qemb")
        by_name = {section.name: section for section in self.sections}
        for name in ("QUAN", "TOKO", "TOKB"):
            check(name in by_name, "invalid.missing_section")
        self.structures = {by_name[name]: of for name, of in STRUCTURES.items() if name in by_name}
        for section in self.structures:
            check_rules(section, "structure")
            stored = self.stored(section.offset, section.stored_size)
            check(crc32c(stored) == section.crc, "malformed.section_checksum")
        for section in self.structures:
            check_rules(section.body, type(section.body).__name__)
        check("SUBW" in by_name or self.header.rows == self.header.tokens, "invalid.counts")

    def stored(self, offset: int, size: int) -> bytes:
        """Bytes of the file."""
        self._io.seek(offset)
        return self._io.read_bytes(size)


def written(name: str, value: int | bytes) -> str:
    """A field as the protocol has it."""
    if isinstance(value, bytes):
        return value.decode()
    return f"{value:08x}" if name.endswith("crc") else str(int(value))


def fields(parsed: object) -> dict[str, str]:
    """The fields of a structure."""
    return {name: written(name, getattr(parsed, name)) for name in GRAMMAR["fields"][type(parsed).__name__]}


def answer(data: bytes) -> tuple[int, dict[str, object]]:
    """Exit code and output for one file."""
    try:
        check(MAGIC.startswith(data[:8]), "malformed.magic")
        check(len(data) >= 64, "malformed.truncated")
        file = Checked(KaitaiStream(BytesIO(data)))
    except Rejected as error:
        return 1, {"error": str(error)}
    except ValidationFailedError as error:
        return 1, {"error": GRAMMAR["errors"][error.src_path], "message": str(error)}
    output = {"header": fields(file.header), "sections": [fields(section) for section in file.sections]}
    output |= {of: fields(section.body) for section, of in file.structures.items()}
    output["quantization"] |= fields(file.quantization.parameters)
    return 0, output


def main() -> int:
    """One file, or with ``--jsonl`` as many as there are lines."""
    if "--jsonl" not in sys.argv:
        code, output = answer(sys.stdin.buffer.read())
        print(json.dumps(output))
        return code
    for line in sys.stdin:
        code, output = answer(Path(json.loads(line)["file"]).read_bytes())
        print(json.dumps({"exit": str(code), "output": output}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
