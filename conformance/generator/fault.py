"""One way in which a file can be bad: what was done to a good one, the code that readers owe it, and its place in the
order of checks (section 8 of the specification)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import rawfile

if TYPE_CHECKING:
    from collections.abc import Callable

STRUCTURES = ("QUAN", "TRNS", "SUBW")
CONTENTS = "MET-02 MET-03 PRO-02 SCL-02 SCL-03 PCK-02 PCK-03 DEC-01 DEC-02 TOK-01 TOK-02 TOK-03 TOK-04 IDX-02 NRM-01"

GUARDS = {
    "HDR-01": "A file of another format, or one that a transfer as text has changed, read all the same.",
    "HDR-02": "Reading past the end of a file that is shorter than a header.",
    "HDR-03": "A file of another major version read as if it were of this one.",
    "HDR-04": "The header's CRC not looked at, of another polynomial, or over other bytes.",
    "HDR-05": "A feature that is not known passed over.",
    "HDR-06": "The offset of the table believed, or not looked at.",
    "HDR-07": "A table allocated for any number of sections.",
    "HDR-08": "A division by `dim`, or a row allocated for any `dim`.",
    "HDR-09": "Counts kept in too few bits, or tokens without rows.",
    "HDR-10": "Sizes added up until they wrap.",
    "HDR-11": "A file that was cut, or that something was added to, read all the same.",
    "HDR-12": "The table's CRC not looked at, or over other bytes.",
    "TAB-01": "Kinds compared as numbers, whatever their bytes.",
    "TAB-02": "A critical section that is not known passed over, or flags not looked at.",
    "TAB-03": "One of two sections of a kind read, and each reader takes another.",
    "TAB-04": "Sizes or codecs not looked at.",
    "TAB-05": "Sections cast to numbers where they are not aligned.",
    "TAB-06": "Sections that share bytes.",
    "TAB-07": "Reading past the end of the file; `offset + size` that wraps.",
    "TAB-08": "Bytes that belong to no section, in which anything can be hidden.",
    "TAB-09": "Bytes after the last section, in which anything can be hidden.",
    "TAB-10": "Padding not looked at.",
    "TAB-11": "A section's CRC not looked at, or over the raw bytes.",
    "FRM-01": "A division by the frame size, or a buffer of any size.",
    "FRM-02": "A frame table of a size that wraps, or that begins before its section.",
    "FRM-03": "Frames that overlap, leave gaps, or lie outside their section.",
    "FRM-04": "A frame's CRC not looked at, or over the raw bytes.",
    "FRM-05": "Whatever a zstd library makes of a frame believed.",
    "FRM-06": "Structures looked for in frames.",
    "SEC-01": "A section that is not there read as if it were empty.",
    "SEC-02": "A section of no use passed over.",
    "SEC-03": "The size of a section not looked at before it is read.",
    "QNT-01": "Reserved bytes, or a level that is not known, passed over.",
    "QNT-02": "Shifts by more bits than there are.",
    "QNT-03": "Shifts by a negative number of bits.",
    "QNT-04": "A scale that is missing read, or one that is there left out.",
    "QNT-05": "A type that is not known taken for float32.",
    "QNT-06": "A division by the number of columns in a block.",
    "QNT-07": "Parameters of a level not looked at.",
    "QNT-08": "Rows that overlap.",
    "QNT-09": "A stride of rows that are not there.",
    "TRN-01": "A transform that is not known left out, or reserved bytes passed over.",
    "SUB-01": "Rows that no token and no bucket has.",
    "SUB-02": "A subword hash that is not known taken for fastText's, or parameters not looked at.",
    "MET-01": "Metadata of any size parsed.",
    "MET-02": "A parser of more than JSON.",
    "MET-03": "A parser that overflows its stack, or that takes one of two equal keys.",
    "PRO-02": "Levels that are not finite decoded.",
    "SCL-02": "Scales that are not finite decoded.",
    "SCL-03": "Offsets that are not finite decoded.",
    "PCK-02": "Padding of rows not looked at, in which anything can be hidden.",
    "PCK-03": "Bits of planes past those of a code used, or not looked at.",
    "DEC-01": "A rank past the last decoded.",
    "DEC-02": "Exceptions written past the end of the rows, or looked for by halves where they do not ascend.",
    "TOK-01": "Tokens read outside their section.",
    "TOK-02": "Tokens copied into a buffer of fixed size.",
    "TOK-03": "A decoder of UTF-8 that replaces, or that takes what is not well-formed.",
    "TOK-04": "One of two equal tokens found, and each reader takes another.",
    "IDX-01": "A search that does not end for want of an empty slot.",
    "IDX-02": "An index believed: words not found, or found in another row.",
    "NRM-01": "Norms believed.",
}
"""The bug that a fault against a requirement is there to catch, where it does not say itself."""


@dataclass(frozen=True)
class Fault:
    name: str
    code: str
    base: Callable[[], rawfile.RawFile]
    rule: str
    """The requirement that is broken, without QEMB; a letter after it puts the parts of one in order."""
    kind: str | None
    """The section that it is broken in."""
    apply: Callable[[rawfile.RawFile], object]
    guards: str = ""
    also: str = ""
    """Other requirements that it is against, separated by spaces."""

    def file(self):
        file = self.base()
        self.apply(file)
        return file

    def bytes(self):
        return self.file().build()

    @property
    def requirements(self):
        """Without QEMB, the one that is broken first."""
        return [self.rule.rstrip("abc"), *self.also.split()]

    @property
    def rank(self):
        """Place in the order of checks."""
        order = [section.kind for section in self.base().sections]
        place = order.index(self.kind) if self.kind in order else -1
        group, number = self.rule.split("-")
        if group == "LIM":
            return 6, ""
        if group == "HDR":
            return 1, number
        if self.rule == "TAB-09":
            return 2, len(order)
        if (group == "TAB" and number < "10") or self.rule in ("FRM-01", "FRM-02"):
            return 2, place, "TAB-04" if group == "FRM" else self.rule
        if group == "SEC":
            return self._section_rank(number)
        if self.kind in STRUCTURES and self.rule in ("FRM-06", "TAB-11"):
            return 3, 1 + STRUCTURES.index(self.kind), ("FRM-06", "SEC-03", "TAB-11").index(self.rule)
        if group in ("QNT", "TRN", "SUB"):
            return 4, ("QNT", "TRN", "SUB").index(group) + (self.rule == "SUB-01"), number
        if self.rule in ("MET-01", "IDX-01"):
            return 6, ("MET-01", "EXCP", "IDX-01").index(self.rule)
        if group in ("TAB", "FRM"):
            return 7, place, {"TAB": 0, "FRM": 1}[group], number
        return 8, CONTENTS.split().index(self.rule)

    def _section_rank(self, number):
        if self.kind in ("QUAN", "TOKO", "TOKB") and number == "01":
            return 3, 0, self.kind
        if self.kind in STRUCTURES:
            return 3, 1 + STRUCTURES.index(self.kind), 1
        if self.kind == "EXCP":
            return 6, 1
        return 5, list(rawfile.FLAGS).index(self.kind)


FAULTS: list[Fault] = []


def apart(one, other):
    """Whether two faults of one base tamper with different places."""
    one, other = one.file().touched, other.file().touched
    return not any(a == b and (None in (i, j) or i == j) for a, i in one for b, j in other)


def fault(code, base, rule, kind=None, guards="", also=""):
    """A decorator of what puts the fault in; its name is the function's."""

    def register(apply):
        FAULTS.append(Fault(apply.__name__.replace("_", " "), code, base, rule, kind, apply, guards, also))
        return apply

    return register


def simple(name, code, base, rule, kind, apply, guards="", also=""):
    FAULTS.append(Fault(name, code, base, rule, kind, apply, guards, also))


def header(name, code, rule, base, guards="", **fields):
    """Fields of the header overridden."""
    simple(name, code, base, rule, None, lambda file: file.set(**fields), guards)


def entry(name, code, rule, base, section, /, **fields):
    """Fields of a section's entry in the table overridden."""
    simple(name, code, base, rule, section, lambda file: file[section].entry.update(fields))


def place(name, code, rule, base, kind, at, data, also=""):
    """Bytes of a section overwritten."""
    simple(name, code, base, rule, kind, lambda file: file.patch(kind, at, data), also=also)


def data(name, code, rule, base, kind, value, guards=""):
    """A section with other contents."""
    simple(name, code, base, rule, kind, lambda file: setattr(file[kind], "data", value), guards)
