"""Reading a pickle without running anything in it.

A pickle is a program for a machine with a stack: it names callables, which the machine then calls. This machine calls
none. A name that is not expected in gensim's models is refused; the others become `Record`, which remembers what it was
called with and what was put in it. So models are read, too, whose classes have been renamed or removed since.

The file bounds the work: an object takes bytes of the file, nothing is compared or hashed but strings and integers of
64 bits, and nesting is not followed. Opcodes are those of Python's ``pickletools``, protocols 0 to 5.
"""

# ruff: noqa: ANN401 - a pickle holds anything
from __future__ import annotations

import codecs
import re
import struct
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from mmap import mmap

    from numpy.typing import NDArray

_FREE: Final = 10_000
"""Objects and places of the memo that any file may have; others have to have two bytes of it each."""
_LARGE: Final = 1 << 12
"""Bytes that are copied; longer ones are looked at where they are in the file."""
_BUILTINS: Final = frozenset(
    ("bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "hash", "int", "list", "long", "object",
     "set", "str", "tuple", "unicode")
)  # fmt: skip
_COLLECTIONS: Final = frozenset({"Counter", "OrderedDict", "defaultdict", "deque"})
_ARRAYS: Final = frozenset({"_reconstruct", "scalar"})
_SCALARS: Final = frozenset(
    f"{kind}{bits}" for kind, sizes in (("float", "16 32 64"), ("int", "8 16 32 64"), ("uint", "8 16 32 64"))
    for bits in sizes.split()
)  # fmt: skip
_ALLOWED: Final = {
    "UserString": _COLLECTIONS,  # what Python 3.4 wrote for `collections` in protocol 2
    "__builtin__": _BUILTINS,
    "_codecs": {"encode"},
    "builtins": _BUILTINS,
    "collections": _COLLECTIONS,
    "copy_reg": {"_reconstructor"},
    "copyreg": {"_reconstructor"},
    "numpy": {"dtype", "ndarray", *_SCALARS},
    "numpy._core.multiarray": _ARRAYS,
    "numpy._core.numeric": {"_frombuffer"},
    "numpy.core.multiarray": _ARRAYS,
    "numpy.core.numeric": {"_frombuffer"},
    "numpy.random": {"__RandomState_ctor"},
    "numpy.random._mt19937": {"MT19937"},
    "numpy.random._pcg64": {"PCG64"},
    "numpy.random._pickle": {"__bit_generator_ctor", "__generator_ctor", "__randomstate_ctor"},
}
"""What a model may name besides everything of gensim's, whose classes have had many names."""
_GENSIM: Final = re.compile(r"gensim(\.\w+)*", re.ASCII)
_NUMERIC: Final = re.compile(r"[<>|=]?[fiu](1|2|4|8)")
_MOST_DIMENSIONS: Final = 32
_WHOLE: Final = range(-(1 << 63), 1 << 64)
"""Integers that are keys: the hashes of larger ones can be made to collide."""


_U1, _U2, _U4, _U8, _I4, _F8 = (struct.Struct(form) for form in ("<B", "<H", "<I", "<Q", "<i", ">d"))


class UnpicklingError(ValueError):
    """The pickle is refused or damaged, for a reason that fits in a line, at byte ``offset``."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


class NotAllowedError(UnpicklingError):
    """The pickle names a class or function that is not allowed, or an object that is not in the file."""


@dataclass(slots=True, eq=False)
class Record:
    """An object in a pickle, or the name of a class or function in it.

    Attributes
    ----------
    module, name : str
        The class or function, as the pickle names it.
    args : tuple or None
        What it was called with; None for the name alone.
    state : Any
        What restores its attributes, a dict for ordinary classes.
    """

    module: str
    name: str
    args: tuple[Any, ...] | None = None
    state: Any = None

    def attribute(self, *names: str) -> Any:
        """Return the first attribute there is of these, else None."""
        state = self.state if isinstance(self.state, dict) else {}
        return next((state[name] for name in names if name in state), None)


def load(data: bytes | mmap) -> Any:
    """Read a pickle.

    Parameters
    ----------
    data : bytes or mmap
        The file. Long strings of bytes are views of it.

    Returns
    -------
    Any
        The object: sets are lists, instances of classes are `Record`, items of which are passed over.

    Raises
    ------
    NotAllowedError
        It names what is no part of gensim's models.
    UnpicklingError
        It is damaged or cut short.
    """
    return _Machine(data).run()


class _Machine:
    def __init__(self, data: bytes | mmap) -> None:
        self._data = data
        self._view = memoryview(data)
        self._at = 0
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._left = _FREE + len(data) // 2
        self._encoded = 0

    def run(self) -> Any:
        start, view, operations = 0, self._view, _OPERATIONS
        try:
            while True:
                start = self._at
                operation = operations.get(view[start], _Machine.unknown)
                self._at += 1
                if operation is _Machine.stop:
                    return self._stack.pop()
                operation(self)
        except UnpicklingError:
            raise
        except (IndexError, struct.error):
            raise UnpicklingError("it breaks off, or takes what it has not put there", start) from None
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
            raise UnpicklingError("an operation does not fit what it is given", start) from None

    # --- what operations share

    def _take(self, size: int) -> memoryview:
        start, self._at = self._at, self._at + size
        if not start <= self._at <= len(self._view):
            raise IndexError
        return self._view[start : self._at]

    def _number(self, form: struct.Struct) -> Any:
        (value,) = form.unpack_from(self._view, self._at)
        self._at += form.size
        return value

    def _line(self) -> bytes:
        end = self._data.find(b"\n", self._at)
        if end < 0:
            raise IndexError
        return bytes(self._take(end + 1 - self._at)[:-1])

    def _new(self, value: Any) -> None:
        """Put a new object on the stack."""
        self._spend()
        self._stack.append(value)

    def _spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise UnpicklingError("it makes more objects than a file of its size holds", self._at)

    def _since_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._marks.pop()
        return items

    def _name(self, module: Any, name: Any) -> Record:
        known = isinstance(module, str) and isinstance(name, str)
        if not known or not (name in _ALLOWED.get(module, ()) or (_GENSIM.fullmatch(module) and name.isidentifier())):
            called = ascii(f"{module}.{name}"[:100])[1:-1] if known else "no class"
            raise NotAllowedError(f"it names {called}, which is no part of gensim's vectors", self._at)
        return Record(module, name)

    def _call(self, function: Any, args: Any) -> Any:
        """What a call of one of the names gives."""
        if not isinstance(function, Record) or function.args is not None or not isinstance(args, tuple):
            raise TypeError
        if function.module == "_codecs":
            text, self._encoded = args[0], self._encoded + len(args[0])
            if self._encoded > len(self._data):  # the same string again and again
                raise UnpicklingError("it makes more bytes than a file of its size holds", self._at)
            return text.encode("latin1")
        if function.name == "bytes" and not args:  # so do protocols up to 2 write no bytes
            return b""
        if function.name == "_reconstructor":
            function, args = args[0], ()
            if not isinstance(function, Record):
                raise TypeError
        return Record(function.module, function.name, args)

    # --- the operations, by the names that pickletools gives them

    def stop(self) -> None:
        """End; `run` knows it."""

    def unknown(self) -> None:
        raise UnpicklingError("an opcode is not known", self._at - 1)

    def proto(self) -> None:
        if self._number(_U1) > 5:
            raise UnpicklingError("its protocol is newer than 5", self._at)

    def frame(self) -> None:
        self._take(8)

    def mark(self) -> None:
        self._spend()
        self._marks.append(self._stack)
        self._stack = []

    def pop(self) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._stack = self._marks.pop()

    def pop_mark(self) -> None:
        self._since_mark()

    def dup(self) -> None:
        self._stack.append(self._stack[-1])

    def constant(self, value: Any) -> None:
        self._stack.append(value)

    def take_number(self, form: struct.Struct) -> None:
        self._stack.append(self._number(form))

    def text_int(self) -> None:
        self._stack.append(int(self._line()))  # 01 and 00 are true and false

    def text_long(self) -> None:
        self._stack.append(int(self._line().removesuffix(b"L")))

    def text_float(self) -> None:
        self._stack.append(float(self._line()))

    def take_long(self, form: struct.Struct) -> None:
        self._stack.append(int.from_bytes(self._take(self._number(form)), "little", signed=True))

    def text_string(self) -> None:
        line = self._line()
        if len(line) < 2 or line[:1] not in (b"'", b'"') or line[:1] != line[-1:]:
            raise ValueError
        self._stack.append(codecs.escape_decode(line[1:-1])[0].decode("latin1"))

    def text_unicode(self) -> None:
        self._stack.append(self._line().decode("raw-unicode-escape"))

    def take_string(self, form: struct.Struct) -> None:
        # latin1 keeps the bytes of arrays that Python 2 wrote as strings
        self._stack.append(str(self._take(self._number(form)), "latin1"))

    def take_unicode(self, form: struct.Struct) -> None:
        self._stack.append(str(self._take(self._number(form)), "utf-8", "surrogatepass"))

    def take_bytes(self, form: struct.Struct) -> None:
        data = self._take(self._number(form))
        self._stack.append(bytes(data) if len(data) <= _LARGE else data)

    def empty_list(self) -> None:
        self._new([])

    def empty_dict(self) -> None:
        self._new({})

    def take_list(self) -> None:
        self._new(self._since_mark())

    def take_tuple(self) -> None:
        self._new(tuple(self._since_mark()))

    def tuple_of(self, size: int) -> None:
        if len(self._stack) < size:
            raise IndexError
        items = tuple(self._stack[-size:])
        del self._stack[-size:]
        self._new(items)

    def take_dict(self) -> None:
        items = self._since_mark()
        self._new({})
        self._set(items)

    def append(self) -> None:
        self._extend([self._stack.pop()])

    def appends(self) -> None:
        self._extend(self._since_mark())

    def _extend(self, items: Any) -> None:
        goal = self._stack[-1]
        if isinstance(goal, list):
            goal.extend(items)
        elif not isinstance(goal, Record):
            raise TypeError

    def setitem(self) -> None:
        value = self._stack.pop()
        self._set([self._stack.pop(), value])

    def setitems(self) -> None:
        self._set(self._since_mark())

    def _set(self, items: Any) -> None:
        goal = self._stack[-1]
        if isinstance(goal, dict):
            for key, value in zip(items[::2], items[1::2], strict=True):
                # no model needs others, and their hashes can be made to collide
                if isinstance(key, str | bytes) or (isinstance(key, int) and key in _WHOLE):
                    goal[key] = value
        elif not isinstance(goal, Record):
            raise TypeError

    def put(self) -> None:
        self._remember(int(self._line()))

    def binput(self, form: struct.Struct) -> None:
        self._remember(self._number(form))

    def memoize(self) -> None:
        self._remember(len(self._memo))

    def _remember(self, place: int) -> None:
        self._spend()
        self._memo[place] = self._stack[-1]

    def get(self) -> None:
        self._stack.append(self._memo[int(self._line())])

    def binget(self, form: struct.Struct) -> None:
        self._stack.append(self._memo[self._number(form)])

    def global_(self) -> None:
        module, name = self._line().decode(), self._line().decode()
        self._new(self._name(module, name))

    def stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._new(self._name(module, name))

    def reduce(self) -> None:
        args, function = self._stack.pop(), self._stack.pop()
        self._new(self._call(function, args))

    def newobj_ex(self) -> None:
        self._stack.pop()  # its arguments by name
        self.reduce()

    def inst(self) -> None:
        args = tuple(self._since_mark())
        self._new(self._call(self._name(self._line().decode(), self._line().decode()), args))

    def obj(self) -> None:
        function, *args = self._since_mark()
        self._new(self._call(function, tuple(args)))

    def build(self) -> None:
        state, goal = self._stack.pop(), self._stack[-1]
        if not isinstance(goal, Record) or goal.args is None:
            raise TypeError
        goal.state = state

    def outside(self) -> None:
        raise NotAllowedError("it refers to an object that is not in the file", self._at)


def _with(operation: Callable[..., None], argument: Any) -> Callable[[_Machine], None]:
    return lambda machine: operation(machine, argument)


_M = _Machine
_OPERATIONS: Final[dict[int, Callable[[_Machine], None]]] = {
    mark[0]: operation
    for mark, operation in {
        b".": _M.stop, b"\x80": _M.proto, b"\x95": _M.frame,
        b"(": _M.mark, b"0": _M.pop, b"1": _M.pop_mark, b"2": _M.dup,
        b"N": _with(_M.constant, None), b"\x88": _with(_M.constant, 1), b"\x89": _with(_M.constant, 0),
        b")": _with(_M.constant, ()),
        b"I": _M.text_int, b"L": _M.text_long, b"F": _M.text_float,
        b"J": _with(_M.take_number, _I4), b"K": _with(_M.take_number, _U1), b"M": _with(_M.take_number, _U2),
        b"G": _with(_M.take_number, _F8), b"\x8a": _with(_M.take_long, _U1), b"\x8b": _with(_M.take_long, _I4),
        b"S": _M.text_string, b"T": _with(_M.take_string, _I4), b"U": _with(_M.take_string, _U1),
        b"V": _M.text_unicode, b"X": _with(_M.take_unicode, _U4), b"\x8c": _with(_M.take_unicode, _U1),
        b"\x8d": _with(_M.take_unicode, _U8),
        b"B": _with(_M.take_bytes, _U4), b"C": _with(_M.take_bytes, _U1), b"\x8e": _with(_M.take_bytes, _U8),
        b"\x96": _with(_M.take_bytes, _U8),
        b"]": _M.empty_list, b"l": _M.take_list, b"a": _M.append, b"e": _M.appends,
        b"}": _M.empty_dict, b"d": _M.take_dict, b"s": _M.setitem, b"u": _M.setitems,
        b"\x8f": _M.empty_list, b"\x91": _M.take_list, b"\x90": _M.appends,  # sets: nothing is hashed
        b"t": _M.take_tuple, b"\x85": _with(_M.tuple_of, 1), b"\x86": _with(_M.tuple_of, 2),
        b"\x87": _with(_M.tuple_of, 3),
        b"p": _M.put, b"q": _with(_M.binput, _U1), b"r": _with(_M.binput, _U4), b"\x94": _M.memoize,
        b"g": _M.get, b"h": _with(_M.binget, _U1), b"j": _with(_M.binget, _U4),
        b"c": _M.global_, b"\x93": _M.stack_global, b"R": _M.reduce, b"\x81": _M.reduce, b"\x92": _M.newobj_ex,
        b"i": _M.inst, b"o": _M.obj, b"b": _M.build,
        b"P": _M.outside, b"Q": _M.outside, b"\x82": _M.outside, b"\x83": _M.outside, b"\x84": _M.outside,
        b"\x97": _M.outside, b"\x98": _M.outside,
    }.items()
}  # fmt: skip


def as_array(value: Any) -> NDArray[Any] | None:
    """Return the numeric array that a record stands for, or None where it is something else."""
    try:
        if value.name == "_frombuffer":
            data, dtype, shape, order = value.args
            fortran = order == "F"
        else:
            _version, shape, dtype, fortran, data = value.state
        kind, shape = dtype.args[0], tuple(shape)
        if not _NUMERIC.fullmatch(kind) or len(shape) > _MOST_DIMENSIONS or any(n not in _WHOLE for n in shape):
            return None
        if dtype.state is not None and dtype.state[1] in ("<", ">"):
            kind = dtype.state[1] + kind.lstrip("<>|=")
        raw = data.encode("latin1") if isinstance(data, str) else memoryview(data)
        if len(raw) != prod(shape) * np.dtype(kind).itemsize:
            return None
        return np.frombuffer(raw, kind).reshape(shape, order="F" if fortran else "C")
    except (TypeError, ValueError, AttributeError, IndexError):
        return None
