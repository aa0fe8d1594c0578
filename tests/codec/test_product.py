"""Product quantization: trained codebooks, the nearest centroid of every sub-vector, odd tables."""

from __future__ import annotations

import struct
import sys

import numpy as np
import pytest

import qemb
from qemb import InvalidError

faiss = pytest.importorskip("faiss")


def words(count):
    return [f"w{i}" for i in range(count)]


def correlated(rows, dim, seed=0):
    """Rows near a plane of few dimensions, of different lengths, away from the origin."""
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(rows, 4)) @ rng.normal(size=(4, dim)) + 0.2 * rng.normal(size=(rows, dim))
    return (table * rng.uniform(0.3, 3, (rows, 1)) + rng.normal(size=dim)).astype(np.float32)


def write(path, matrix, **options):
    qemb.write(path, words(len(matrix)), matrix, scheme="product", **options)
    with qemb.open(path) as emb:
        emb.verify()
        return emb.matrix(), emb.info


def section(path, kind, dtype):
    """A section as numbers, found in the file's own table."""
    data = path.read_bytes()
    for entry in range(struct.unpack_from("<I", data, 12)[0]):
        name, _, _, offset, size = struct.unpack_from("<4sHHQQ", data, 64 + 40 * entry)
        if name == kind:
            return np.frombuffer(data, dtype, size // np.dtype(dtype).itemsize, offset)
    raise AssertionError(f"{path} has no {kind}")


def error(decoded, matrix):
    centred = matrix - matrix.mean(axis=0)
    return float(np.square(decoded - matrix).sum() / np.square(centred).sum())


@pytest.mark.parametrize(
    ("dim", "bits", "sub_dim", "scale"),
    [(10, 4, 2, "row"), (10, 2, 4, "row"), (10, 3, 3, "none"), (9, 1, 8, "row"), (7, 5, 1, "none"), (6, 4, 3, "row")],
)
def test_every_sub_vector_has_the_nearest_centroid(tmp_path, dim, bits, sub_dim, scale):
    matrix = correlated(600, dim)
    path = tmp_path / "a.qemb"
    decoded, info = write(path, matrix, bits=bits, sub_dim=sub_dim, scale=scale)
    codes = -(-dim // sub_dim)
    assert (info.scheme, info.bits, info.sub_dim) == ("product", bits * sub_dim, sub_dim)
    levels = section(path, b"LEVL", "<f4").reshape(codes, 1 << bits * sub_dim, sub_dim).astype(np.float64)
    scales = np.ones((600, 1)) if scale == "none" else section(path, b"SCAL", "<f2").astype(np.float64)[:, None]
    offset = 0 if scale == "none" else section(path, b"OFFS", "<f4").astype(np.float64)
    padded = np.zeros((600, codes * sub_dim))
    padded[:, :dim] = (matrix - offset) / scales
    found = np.zeros_like(padded)
    found[:, :dim] = (decoded - offset) / scales
    for place in range(codes):
        part = slice(place * sub_dim, (place + 1) * sub_dim)
        inside = min(sub_dim, dim - place * sub_dim)
        squares = np.square(padded[:, None, part] - levels[place])[..., :inside].sum(axis=2)
        taken = np.square(padded[:, part] - found[:, part])[:, :inside].sum(axis=1)
        assert np.allclose(taken, squares.min(axis=1), rtol=1e-4, atol=1e-6)


def test_training_pays_where_columns_hang_together(tmp_path):
    matrix = correlated(3000, 16)
    for bits in (1, 2, 4):
        product, info = write(tmp_path / "p.qemb", matrix, bits=bits)
        qemb.write(tmp_path / "c.qemb", words(3000), matrix, scheme="codebook", bits=bits)
        with qemb.open(tmp_path / "c.qemb") as emb:
            assert error(product, matrix) < 0.8 * error(emb.matrix(), matrix)
        assert info.sections["CODE"] == 3000 * 16 * bits // 8


def test_a_scale_for_each_row_follows_its_length(tmp_path):
    matrix = correlated(3000, 16)
    one, _ = write(tmp_path / "a.qemb", matrix, bits=4)
    none, info = write(tmp_path / "b.qemb", matrix, bits=4, scale="none")
    assert (info.scale, info.offset) == ("none", "none")
    short = np.linalg.norm(matrix, axis=1) < np.median(np.linalg.norm(matrix, axis=1))
    assert error(one[short], matrix[short]) < error(none[short], matrix[short])


def test_the_same_rows_give_the_same_file(tmp_path):
    matrix = correlated(5000, 12)
    write(tmp_path / "a.qemb", matrix, bits=2)
    threads = faiss.omp_get_max_threads()
    try:
        faiss.omp_set_num_threads(1)
        with qemb.Writer(tmp_path / "b.qemb", dim=12, scheme="product", bits=2) as writer:
            for low in range(0, 5000, 1700):
                writer.append(words(5000)[low : low + 1700], matrix[low : low + 1700])
    finally:
        faiss.omp_set_num_threads(threads)
    assert (tmp_path / "a.qemb").read_bytes() == (tmp_path / "b.qemb").read_bytes()


def test_as_many_centroids_as_rows_keep_every_bit(tmp_path, capfd):
    for rows in (0, 1, 255, 256):
        matrix = correlated(rows, 11, seed=rows) if rows else np.zeros((0, 11), np.float32)
        decoded, _ = write(tmp_path / "a.qemb", matrix, bits=4, scale="none")
        assert np.array_equal(decoded, matrix)
    write(tmp_path / "a.qemb", correlated(257, 11), bits=4)
    assert capfd.readouterr() == ("", "")  # faiss warns on standard error of few points


def test_rows_of_zeros_stay_zero(tmp_path):
    matrix = correlated(400, 8)
    matrix[5] = 0
    decoded, _ = write(tmp_path / "a.qemb", matrix, bits=4, offset="none")
    assert not decoded[5].any()
    assert np.isfinite(decoded).all()


@pytest.mark.parametrize("magnitude", [1e-12, 1e9, 1e37])
def test_scales_that_do_not_fit_float16_are_float32(tmp_path, magnitude):
    matrix = correlated(400, 8) * np.float32(magnitude / 100)
    decoded, info = write(tmp_path / "a.qemb", matrix, bits=4)
    assert info.scale == "row, float32"
    plain, _ = write(tmp_path / "b.qemb", correlated(400, 8), bits=4)
    assert error(decoded.astype(float), matrix.astype(float)) == pytest.approx(
        error(plain, correlated(400, 8)), rel=0.05
    )
    with pytest.raises(InvalidError, match="does not fit float16"):
        write(tmp_path / "c.qemb", matrix, bits=4, scale_dtype="float16")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 13}, "bits=13"),
        ({"bits": 4, "sub_dim": 4}, "1 to 12 bits"),
        ({"bits": 0}, "bits=0"),
        ({"sub_dim": 9}, "1 to 8 values"),
        ({"sub_dim": 0}, "1 to 8 values"),
        ({"rotate": True}, "takes no rotate"),
        ({"effort": 3}, "takes no effort"),
        ({"scale": "block", "block": 2}, "takes no block"),
        ({"scale": "column"}, "there are row, none"),
        ({"scale": "none", "scale_dtype": "float32"}, "takes no scale_dtype"),
        ({"scheme": "linear", "sub_dim": 2}, "'linear' takes no sub_dim"),
        ({"scheme": "exact", "sub_dim": 2}, "'exact' takes no sub_dim"),
    ],
)
def test_options_that_do_not_fit(tmp_path, options, message):
    with pytest.raises(InvalidError, match=message) as caught:
        qemb.write(tmp_path / "a.qemb", words(2), np.zeros((2, 8)), **({"scheme": "product"} | options))
    assert caught.value.code == "invalid.option"
    assert list(tmp_path.iterdir()) == []


def test_a_value_that_is_not_finite_is_named(tmp_path):
    matrix = correlated(5000, 8)
    matrix[4500, 3] = np.nan
    with pytest.raises(InvalidError, match="row 4500, column 3") as caught:
        write(tmp_path / "a.qemb", matrix, offset="none")
    assert caught.value.code == "invalid.value"
    assert list(tmp_path.iterdir()) == []


def test_without_faiss_the_extra_is_named(tmp_path, monkeypatch):
    write(tmp_path / "a.qemb", correlated(300, 8))
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match=r"qemb-format\[faiss\]"):
        qemb.write(tmp_path / "b.qemb", words(2), np.zeros((2, 8)), scheme="product")
    assert [path.name for path in tmp_path.iterdir()] == ["a.qemb"]
    with qemb.open(tmp_path / "a.qemb") as emb:  # reading needs nothing
        assert emb["w7"].shape == (8,)
