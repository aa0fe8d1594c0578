"""Reading a pickle without running anything in it.

A pickle is a program: it names callables, which the reader then calls. Here every name becomes an inert `Record` that
only remembers how it was called and what was put in it, so that nothing of the file's choosing runs. It also reads what
its own library no longer can: models of classes that have been renamed or removed since.
"""

# ruff: noqa: ANN401 - a pickle holds anything
from __future__ import annotations

import pickle  # only its machine is used: every name in a file is answered by `_Unpickler.find_class`
from math import prod
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


class Record(dict[Any, Any]):
    """An object in a pickle, of whatever class: what it was made with, its items, its state.

    Attributes
    ----------
    module, name : str
        The class or function, as the pickle names it.
    args : tuple
        What it was called with.
    state : Any
        What restores its attributes, a dict for ordinary classes.
    """

    module = ""
    name = ""
    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: Any) -> Record:  # noqa: PYI034 - records of all classes are one type to their readers
        """Make a record, whatever the arguments."""
        self = super().__new__(cls)
        self.args = args
        self.state = {}
        return self

    def __init__(self, *args: Any) -> None:  # noqa: ARG002 - __new__ keeps them
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        """Keep what the object would have been restored from."""
        self.state = state

    def __hash__(self) -> int:  # type: ignore[override]  # in sets and as keys, records stand for themselves
        return id(self)

    def append(self, item: Any) -> None:
        """Take an item of a subclass of list."""
        self[len(self)] = item

    def extend(self, items: Any) -> None:
        """Take the items of a subclass of list."""
        for item in items:
            self.append(item)

    def add(self, item: Any) -> None:
        """Take an item of a subclass of set."""
        self[item] = True

    def attribute(self, *names: str) -> Any:
        """Return the first attribute there is of these, else None."""
        state = self.state if isinstance(self.state, dict) else {}
        return next((state[name] for name in names if name in state), None)


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: BinaryIO) -> None:
        # latin1 keeps the bytes of arrays that Python 2 wrote as strings
        super().__init__(stream, encoding="latin1")
        self._known: dict[tuple[str, str], Callable[..., Any]] = {
            ("_codecs", "encode"): _encode,
            ("copy_reg", "_reconstructor"): _reconstruct,
            ("copyreg", "_reconstructor"): _reconstruct,
        }

    def find_class(self, module: str, name: str) -> Any:
        """Answer every name by a class of records, or by one of the functions above."""
        key = module, name
        if key not in self._known:
            self._known[key] = type(name, (Record,), {"module": module, "name": name})
        return self._known[key]

    def persistent_load(self, pid: Any) -> Any:
        """Refuse: what is outside the file is not read."""
        raise pickle.UnpicklingError(f"an object outside the file is referred to: {pid!r}")


def _encode(text: str, encoding: str = "latin1") -> bytes:  # noqa: ARG001 - bytes are written with it, always latin1
    return text.encode("latin1")


def _reconstruct(cls: type[Record], *_base: Any) -> Record:
    return cls()


def load(stream: BinaryIO) -> Any:
    """Read a pickle; objects of all classes become `Record`. Raises pickle.UnpicklingError, whatever is wrong."""
    try:
        return _Unpickler(stream).load()
    except MemoryError:
        raise pickle.UnpicklingError("it asks for more memory than there is") from None
    except Exception as error:  # noqa: BLE001 - the machine raises whatever its operations on damaged data raise
        raise pickle.UnpicklingError(f"{type(error).__name__}: {error}") from None


def as_array(value: Any) -> NDArray[Any] | None:
    """Return the numeric array that a record stands for, or None where it is something else."""
    if not isinstance(value, Record):
        return None
    try:
        if value.name == "_frombuffer":
            data, dtype, shape, order = value.args
        elif value.name == "_reconstruct":
            _version, shape, dtype, fortran, data = value.state
            order = "F" if fortran else "C"
        else:
            return None
        kind = np.dtype(dtype.args[0])
        if kind.kind not in "fiu":
            return None
        if isinstance(dtype.state, tuple):
            kind = kind.newbyteorder(dtype.state[1])
        raw = data.encode("latin1") if isinstance(data, str) else bytes(data)
        if len(raw) != prod(shape) * kind.itemsize:
            return None
        return np.frombuffer(raw, kind).reshape(shape, order=order)
    except (TypeError, ValueError, AttributeError, IndexError):
        return None
