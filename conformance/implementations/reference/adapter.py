"""Adapter of the reference codec: the Python package `qemb`. ``--jsonl`` stays, ``--encode`` writes."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import qemb
from qemb import layout
from qemb.container import Container

if TYPE_CHECKING:
    from construct import Construct
    from numpy.typing import NDArray

    from qemb.embedding import Embedding

MAX_VALUES = 1 << 28
MAX_SECTION = 1 << 30
STRUCTURES = {"QUAN": layout.Quantization, "TRNS": layout.Transform, "SUBW": layout.Subword}


def answer(data: bytes) -> dict[str, Any]:
    """The answer to a file.

    Raises
    ------
    QembError
        The first check that fails.
    """
    with qemb.open(data, limits=None) as emb:  # the protocol has limits of its own
        container = Container(data)
        header = fields(layout.Header, data[: layout.Header.sizeof()])
        known = [section for kind, section in container.sections.items() if kind in layout.KINDS]
        if emb.total_rows * emb.dim > MAX_VALUES or any(section.raw_size > MAX_SECTION for section in known):
            raise qemb.LimitError("limit.memory", "more than this adapter is asked to hold")
        emb.verify()
        structures = {
            kind: fields(STRUCTURES[kind], container.read(kind).tobytes())
            for kind in STRUCTURES
            if kind in container.sections
        }
        found: dict[str, Any] = {
            "header": header,
            "sections": [
                fields(layout.SectionEntry, data[at : at + layout.SectionEntry.sizeof()])
                for at in (section.entry_offset for section in container.sections.values())
            ],
            "quantization": structures["QUAN"],
            "tokens": [token.hex() for token in emb.tokens.iter_raw()],
            "vectors": rows(emb.matrix()),
            "lookups": lookups(emb),
        }
        for kind, key in (("TRNS", "transform"), ("SUBW", "subword")):
            if kind in structures:
                found[key] = structures[kind]
        if "META" in container.sections:
            found["metadata"] = container.read("META").tobytes().hex()
        if "subword" in found:
            found["subword_vectors"] = [subword_vector(emb, query) for query in queries(emb)]
        if emb.norms is not None:
            found["norms"] = float_bits(emb.norms)
        if emb.counts is not None:
            found["counts"] = [str(count) for count in emb.counts]
    return found


def fields(declaration: Construct, data: bytes) -> dict[str, str]:
    """Fields of a structure by their names; those within one of them stand beside it."""
    found: dict[str, str] = {}
    for name, value in layout.parse(declaration, data, where="structure").items():
        if name == "parameters":
            found |= {key: str(number) for key, number in value.items() if key not in {"_io", "reserved"}}
        elif name == "kind" and isinstance(value, bytes):
            found[name] = value.decode("ascii")
        elif name.endswith("crc"):
            found[name] = f"{value:08x}"
        elif name not in {"_io", "reserved", "magic"}:
            found[name] = str(int(value))
    return found


def float_bits(values: NDArray[np.float32]) -> list[str]:
    """Float32 numbers by their bits."""
    digits = values.astype(">f4").tobytes().hex()
    return [digits[at : at + 8] for at in range(0, len(digits), 8)]


def rows(matrix: NDArray[np.float32]) -> list[list[str]]:
    """Rows of float32 by their bits."""
    flat, dim = float_bits(matrix), matrix.shape[1]
    return [flat[at : at + dim] for at in range(0, len(flat), dim)]


def queries(emb: Embedding) -> list[bytes]:
    """The token `?`, then each token with `?` after it."""
    return [b"?", *(token + b"?" for token in emb.tokens.iter_raw())]


def lookups(emb: Embedding) -> list[str]:
    """Rows of all tokens and of all queries, by the reader's own search."""
    wanted = [*emb.tokens.iter_raw(), *queries(emb)]
    return [str(row) if row >= 0 else "absent" for row in emb.tokens.find(wanted).tolist()]


def subword_vector(emb: Embedding, query: bytes) -> list[str] | str:
    """The vector of a query that is no token."""
    if query in emb:
        return "token"
    vector = emb.get(query)
    return "none" if vector is None else float_bits(vector)


def decode(data: bytes) -> tuple[int, dict[str, Any]]:
    """Exit code and output for a file."""
    try:
        return 0, answer(data)
    except qemb.QembError as error:
        return 1, {"error": error.code, "message": str(error)}


def encode(request: dict[str, Any]) -> bytes:
    """A file of the table that was asked for.

    Raises
    ------
    QembError
        A file cannot hold it.
    """
    tokens = [bytes.fromhex(token) for token in request["tokens"]]
    vectors = [np.frombuffer(bytes.fromhex("".join(row)), ">f4").astype(np.float32) for row in request["vectors"]]
    options: dict[str, Any] = {"bits": int(request["bits"])} if request["scheme"] == "lossy" else {"scheme": "exact"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.qemb")
        with qemb.Writer(path, dim=int(request["dim"]), **options) as writer:
            writer.append(tokens, vectors or np.empty((0, writer.dim), np.float32))
        return path.read_bytes()


def main() -> int:
    """Run as the protocol has it."""
    if "--encode" in sys.argv[1:]:
        try:
            sys.stdout.buffer.write(encode(json.load(sys.stdin)))
        except qemb.QembError as error:
            print(json.dumps({"error": error.code, "message": str(error)}))
            return 1
        return 0
    if "--jsonl" in sys.argv[1:]:
        for line in sys.stdin:
            code, output = decode(Path(json.loads(line)["file"]).read_bytes())
            print(json.dumps({"exit": str(code), "output": output}), flush=True)
        return 0
    code, output = decode(sys.stdin.buffer.read())
    print(json.dumps(output))
    return code


if __name__ == "__main__":
    sys.exit(main())
