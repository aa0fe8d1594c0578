"""Saving a file again: the same rows, codes and tokens, stored otherwise, and nothing quantized a second time."""

from __future__ import annotations

import numpy as np
import pytest

import bases
import qemb
from qemb import MalformedError

OPTIONS = [
    {"scheme": "linear", "bits": 8},
    {"scheme": "linear", "bits": 4, "scale": "block", "block": 8},
    {"scheme": "linear", "bits": 8, "scale": "column", "offset": "mean"},
    {"scheme": "codebook", "bits": 3},
    {"scheme": "trellis", "bits": 2, "rotate": True},
    {"scheme": "float32"},
]
RAW = [bases.linear, bases.split, bases.codebook, bases.trellis, bases.product, bases.decimal,
       bases.ieee, bases.rotated, bases.subwords, bases.framed, bases.noughts]  # fmt: skip


def table(rows, dim):
    values = np.random.default_rng(0).laplace(size=(rows, dim)).astype(np.float32).round(3)
    return [f"a common beginning {i}" for i in range(rows)], values


def save(source, target, **options):
    with qemb.open(source) as emb:
        emb.save(target, **options)
    with qemb.open(target) as emb:
        emb.verify()
    return target.read_bytes()


@pytest.mark.parametrize("options", [*OPTIONS, {"scheme": "exact"}], ids=str)
def test_saving_gives_the_file_that_the_writer_would_have_written(tmp_path, options):
    tokens, matrix = table(3000, 24)
    counts = np.arange(3000)
    for name, compress in (("plain", False), ("small", True)):
        qemb.write(
            tmp_path / name, tokens, matrix, counts=counts, metadata={"a": "b" * 99}, compress=compress, **options
        )
    plain, small = (tmp_path / "plain").read_bytes(), (tmp_path / "small").read_bytes()
    assert save(tmp_path / "plain", tmp_path / "a") == plain
    assert save(tmp_path / "plain", tmp_path / "a", compress=True) == small
    assert save(tmp_path / "small", tmp_path / "a") == small
    if options["scheme"] != "exact":  # which compresses codes in any case
        assert save(tmp_path / "small", tmp_path / "a", compress=False) == plain


@pytest.mark.parametrize("build", RAW, ids=lambda build: build.__name__)
@pytest.mark.parametrize("compress", [None, False, True])
def test_every_kind_of_level_and_section_comes_through(read_sections, tmp_path, build, compress):
    (tmp_path / "a.qemb").write_bytes(build().build())
    save(tmp_path / "a.qemb", tmp_path / "b.qemb", compress=compress)
    before, after = read_sections(tmp_path / "a.qemb"), read_sections(tmp_path / "b.qemb")
    assert {kind: raw for kind, (raw, _, _) in after.items() if kind != "META"} == {
        kind: raw for kind, (raw, _, _) in before.items() if kind != "META"
    }
    with qemb.open(tmp_path / "a.qemb") as one, qemb.open(tmp_path / "b.qemb") as two:
        assert one.metadata == two.metadata
        assert one.total_rows == two.total_rows
        assert np.array_equal(one.matrix().view(np.uint32), two.matrix().view(np.uint32))


def test_metadata_are_replaced_or_dropped(tmp_path):
    qemb.write(tmp_path / "a.qemb", *table(5, 4), metadata={"a": 1})
    for metadata in ({"b": 2}, {}):
        save(tmp_path / "a.qemb", tmp_path / "b.qemb", metadata=metadata)
        with qemb.open(tmp_path / "b.qemb") as emb:
            assert emb.metadata == metadata


def test_a_file_may_be_saved_over_itself(tmp_path):
    tokens, matrix = table(3000, 24)
    qemb.write(tmp_path / "a.qemb", tokens, matrix)
    with qemb.open(tmp_path / "a.qemb") as emb:
        before = emb.matrix()
        emb.save(tmp_path / "a.qemb", compress=True)
    with qemb.open(tmp_path / "a.qemb") as emb:
        assert np.array_equal(emb.matrix(), before)
        assert list(emb) == tokens


def test_damage_is_not_passed_on(tmp_path):
    qemb.write(tmp_path / "a.qemb", *table(3000, 24))
    damaged = bytearray((tmp_path / "a.qemb").read_bytes())
    damaged[5000] ^= 1
    (tmp_path / "a.qemb").write_bytes(damaged)
    (tmp_path / "b.qemb").write_bytes(b"precious")
    with qemb.open(tmp_path / "a.qemb") as emb, pytest.raises(MalformedError, match="CODE"):
        emb.save(tmp_path / "b.qemb")
    assert (tmp_path / "b.qemb").read_bytes() == b"precious"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("base", RAW, ids=lambda base: base.__name__)
def test_rows_are_kept_in_any_order_and_more_than_once(tmp_path, base):
    (tmp_path / "in.qemb").write_bytes(base().build())
    with qemb.open(tmp_path / "in.qemb") as before:
        chosen = [*range(len(before)), *range(len(before))][::-1]
        before.save(tmp_path / "out.qemb", rows=chosen, tokens=[f"word {n}" for n in range(len(chosen))])
        with qemb.open(tmp_path / "out.qemb") as after:
            after.verify()
            assert list(after) == [f"word {n}" for n in range(len(chosen))]
            assert after.matrix(0, len(after)).tobytes() == before.rows(chosen).tobytes()
            buckets = before.matrix(len(before), before.total_rows)
            assert after.matrix(len(after), after.total_rows).tobytes() == buckets.tobytes()


@pytest.mark.parametrize(
    ("rows", "tokens", "message"),
    [
        ([4], ["x"], "a row to keep is not one of 4 tokens"),
        ([-1], ["x"], "a row to keep is not one of 4 tokens"),
        ([0, 1], ["x"], "1 tokens for 2 rows"),
        ([0, 0], None, "came before"),
    ],
)
def test_rows_that_cannot_be_kept(tmp_path, rows, tokens, message):
    target = tmp_path / "out.qemb"
    with qemb.open(bases.linear().build()) as emb, pytest.raises(qemb.InvalidError, match=message):
        emb.save(target, rows=rows, tokens=tokens)
    assert not target.exists()
