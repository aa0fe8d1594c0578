"""Pickles as an attacker writes them: refused by name or as damaged, in one line, with little memory and no time."""

from __future__ import annotations

import os
import pickle
import struct
import time
import tracemalloc

import numpy as np
import pytest

from qemb import InvalidError
from qemb_tools import inert_pickle
from qemb_tools.inert_pickle import NotAllowedError, UnpicklingError

HEAD = b"\x80\x04\x8c\x1agensim.models.keyedvectors\x8c\x0cKeyedVectors\x93)\x81"


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def model(**state):
    """A pickle of KeyedVectors whose attributes are pieces of pickles."""
    return HEAD + b"}(" + b"".join(text(name) + piece for name, piece in state.items()) + b"ub."


def name(module, called):
    return text(module) + text(called) + b"\x93"


def call(module, called, *args):
    return name(module, called) + b"(" + b"".join(args) + b"tR"


def array(data, shape=b"(K\x01K\x02t", kind="f4"):
    dtype = call("numpy", "dtype", text(kind), b"\x89", b"\x88")
    return call("numpy._core.numeric", "_frombuffer", data, dtype, shape, text("C"))


NAMED = {
    "os.system": call("os", "system", text("touch ran")),
    "posix.system": call("posix", "system", text("touch ran")),
    "nt.system": call("nt", "system", text("touch ran")),
    "subprocess.Popen": call("subprocess", "Popen", text("touch ran")),
    "builtins.eval": call("builtins", "eval", text("open('ran', 'w')")),
    "builtins.exec": call("builtins", "exec", text("open('ran', 'w')")),
    "builtins.getattr": call("builtins", "getattr", name("gensim.utils", "open"), text("__globals__")),
    "builtins.__import__": call("builtins", "__import__", text("os")),
    "__builtin__.apply": call("__builtin__", "apply", text("x")),
    "functools.partial": call("functools", "partial", name("builtins", "set"), text("x")),
    "operator.attrgetter": call("operator", "attrgetter", text("x")),
    "codecs.open": call("codecs", "open", text("ran"), text("w")),
    "_codecs.lookup": call("_codecs", "lookup", text("x")),
    "copyreg.add_extension": call("copyreg", "add_extension", text("x")),
    "numpy.fromfile": call("numpy", "fromfile", text("/etc/passwd")),
    "numpy.load": call("numpy", "load", text("a.npy")),
    "numpy.testing._private.utils.runstring": call("numpy.testing._private.utils", "runstring", text("x")),
    "gensim.models.word2vec.os.system": call("gensim.models.word2vec", "os.system", text("touch ran")),
    "gensimx.models.X": call("gensimx.models", "X"),
    "__main__.Callback": call("__main__", "Callback"),
    r"a\n\x1b[31mb.c": call("a\n\x1b[31mb", "c"),
}


@pytest.mark.parametrize("named", NAMED)
def test_what_is_no_part_of_gensim_is_refused_by_name(named):
    with pytest.raises(NotAllowedError) as error:
        inert_pickle.load(model(extra=NAMED[named]))
    assert str(error.value) == f"it names {named}, which is no part of gensim's vectors"


@pytest.mark.parametrize("protocol", range(6))
def test_every_way_to_call(tmp_path, monkeypatch, protocol):
    class Reduced:
        def __reduce__(self):
            return os.system, ("touch ran",)

    class WithState:
        def __reduce__(self):
            return set, ((),), {}, None, iter([(Reduced(), 1)])

    monkeypatch.chdir(tmp_path)
    for hostile in (Reduced(), WithState(), [Reduced()], {"a": (Reduced(),)}, {1: Reduced()}):
        with pytest.raises(NotAllowedError, match=rf"it names {os.name}\.system, "):
            inert_pickle.load(pickle.dumps(hostile, protocol))
    for hostile in (b"(S'touch ran'\nios\nsystem\n.", b"(cos\nsystem\nS'touch ran'\no.", b"cos\nsystem\n)\x81."):
        with pytest.raises(NotAllowedError, match=r"it names os\.system, "):
            inert_pickle.load(hostile)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "outside", [b"Pname\n", b"K\x01Q", b"\x82\x01", b"\x83\x01\x00", b"\x84\x01\x00\x00\x00", b"\x97", b"N\x98"]
)
def test_objects_outside_the_file_are_refused(outside):
    with pytest.raises(NotAllowedError, match="it refers to an object that is not in the file"):
        inert_pickle.load(model(extra=outside))


def nested(levels):
    """Lists of lists, each twice in the next: 2^levels items for who follows them."""
    return b"]q\x00" + b"".join(b"](h%ch%ceq%c" % (i, i, i + 1) for i in range(levels))


def colliding_tuples(count):
    """Keys whose hashes are the same: -1 and -2 have one hash."""
    keys = (
        b"(" + b"".join(b"J" + struct.pack("<i", -1 - (i >> bit & 1)) for bit in range(14)) + b"t" for i in range(count)
    )
    return b"}(" + b"".join(key + b"N" for key in keys) + b"u"


LONG = struct.pack("<i", 1 << 16)
BOMBS = {
    "a place of the memo far away": b"Nr\xff\xff\xff\xff0",
    "a place of the memo further away": b"Np999999999999999999\n0",
    "a string of 2^64 bytes": b"\x8d" + b"\xff" * 8,
    "bytes of 2^40": b"\x8e" + struct.pack("<Q", 1 << 40),
    "a bytearray of 2^40": b"\x96" + struct.pack("<Q", 1 << 40),
    "a frame of 2^63": b"\x95" + struct.pack("<Q", 1 << 63),
    "a negative length": b"\x8b\xff\xff\xff\xff",
    "an integer of 10,000 digits": b"I" + b"9" * 10_000 + b"\n",
    "lists in lists": b"]" * 25_000 + b"a" * 24_999,
    "marks": b"(" * 30_000,
    "empty dicts": b"}" * 60_000,
    "tuples in tuples": b")" + b"\x85" * 60_000,
    "the same string as bytes, again and again": (
        text("a" * 100_000) + b"q\x00" + call("_codecs", "encode", b"h\x00") * 1000
    ),
    "twice as many at each step, as a word": nested(100),
    "keys with one hash": colliding_tuples(4_000),
    "a number as the data of an array": array(b"J\xff\xff\xff\x7f"),
    "an array of many dimensions": array(b"C\x08" + bytes(8), b"(" + (b"\x8b" + LONG + b"\x7f" * (1 << 16)) * 9 + b"t"),
    "a type that is a program": array(b"C\x08" + bytes(8), kind="(" * 5000),
    "a type of objects": array(b"C\x08" + bytes(8), kind="O"),
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_are_duds(tmp_path, read, bomb):
    path = tmp_path / "a.model"
    path.write_bytes(model(index_to_key=b"](" + BOMBS[bomb] + b"e", vectors=BOMBS[bomb]))
    tracemalloc.start()
    started = time.process_time()
    with pytest.raises(InvalidError) as error:
        read(path)
    taken, (_, peak) = time.process_time() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(str(error.value)) < 500
    assert peak < 1 << 26, f"{peak:,} bytes"
    assert taken < 20, "far above what it takes, far below what it would take"


def test_operations_on_what_they_do_not_fit_change_nothing():
    """`_codecs.encode` and the like are names here, not the functions: state and items put on them go nowhere."""
    for piece in (
        name("_codecs", "encode") + b"}(" + text("__defaults__") + b"Nub",
        b"K\x01K\x01a",
        b"K\x01)R",
        b"))R",
    ):
        with pytest.raises(UnpicklingError, match="an operation does not fit what it is given"):
            inert_pickle.load(b"\x80\x04" + piece + b".")
    assert inert_pickle.as_array(inert_pickle.load(pickle.dumps(np.eye(2), 2))).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(("words", "said"), [
    (b"](" + text("a") + b"]e", "a gensim KeyedVectors holds no word vectors"),
    (b"](X\x03\x00\x00\x00\xed\xa0\x80e", r"the word '\\ud800' is no text; mend the model"),
    (b"](\x8a\x20" + b"\x7f" * 32 + b"e", "a gensim KeyedVectors holds no word vectors"),
])  # fmt: skip
def test_words_that_are_none(tmp_path, read, words, said):
    (tmp_path / "a.model").write_bytes(model(index_to_key=words, vectors=array(b"C\x08" + bytes(8))))
    with pytest.raises(InvalidError, match=said):
        read(tmp_path / "a.model")


@pytest.mark.parametrize("kind", ["object", "nothing", "zip"])
def test_a_pickle_in_the_array_beside_is_refused(tmp_path, read, monkeypatch, kind):
    class Runs:
        def __reduce__(self):
            return os.system, ("touch ran",)

    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.model").write_bytes(
        model(index_to_key=b"](" + text("a") + b"e", __numpys=b"](" + text("vectors") + b"e")
    )
    if kind == "object":
        np.save("a.model.vectors.npy", np.array([[Runs()]], object), allow_pickle=True)
    elif kind == "zip":
        np.savez("a.npz", vectors=np.eye(1))
        os.replace("a.npz", "a.model.vectors.npy")
    else:
        (tmp_path / "a.model.vectors.npy").write_bytes(pickle.dumps(Runs()))
    with pytest.raises(InvalidError, match=r"numpy cannot read the array .*a\.model\.vectors\.npy"):
        read("a.model")
    assert not (tmp_path / "ran").exists()
