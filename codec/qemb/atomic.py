"""Files that appear whole or not at all: a temporary file beside the target, fsync, rename, fsync of the folder."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import time
from typing import TYPE_CHECKING, BinaryIO, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

_POSIX = os.name == "posix"
if _POSIX:
    import fcntl

_SETTLED = 60.0
"""Seconds since its last change after which a temporary file that cannot be locked here, and goes, has no writer."""


class AtomicFile:
    """A binary file that takes its place under ``path`` only when it is complete.

    Leaving the ``with`` block normally publishes the file; leaving it by an exception, Ctrl-C included, removes it
    and leaves what was there before. A symbolic link is followed. A file that is replaced passes on its mode, and its
    owner where the process may do that. What killed writers of the same name left behind is removed.

    Several may write to one name: each is whole, and the last to be complete stays.

    Raises
    ------
    OSError
        As from ``open``: the folder is missing, is not writable, or the target is not a regular file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.realpath(os.fsdecode(path))
        before = None
        with contextlib.suppress(FileNotFoundError):
            before = os.stat(self.path)
            if stat.S_ISDIR(before.st_mode):
                raise IsADirectoryError(errno.EISDIR, "the target is a folder", os.fspath(path))
            if not stat.S_ISREG(before.st_mode):
                raise OSError(errno.EINVAL, "the target is not a regular file", os.fspath(path))
        self._process = os.getpid()
        # what is to be as private as the file before it is so from its first moment
        mode = 0o666 if before is None else 0o600
        self.temporary = ""
        try:
            with _blaming(path):
                self.temporary, descriptor = _create_beside(self.path, mode)
            self.file: BinaryIO = os.fdopen(descriptor, "w+b")
            if before is not None:
                if hasattr(os, "chown"):
                    with contextlib.suppress(OSError):  # root alone may, and it clears some bits of the mode
                        os.chown(self.temporary, before.st_uid, before.st_gid)
                with contextlib.suppress(OSError):  # some file systems have no modes
                    os.chmod(self.temporary, stat.S_IMODE(before.st_mode))
        except BaseException:  # Ctrl-C may come between any two of these
            _remove(self.temporary)
            raise

    def commit(self) -> None:
        """Publish the file under its name; on any failure nothing is left behind."""
        try:
            self.file.flush()
            os.fsync(self.file.fileno())
            if not _POSIX:
                self.file.close()  # Windows does not rename a file that is open
            with _blaming(self.path):
                os.replace(self.temporary, self.path)
            self.file.close()  # and with it goes the lock, which kept others from taking it for forgotten
        except BaseException:
            self.abort()
            raise
        _sync_folder(os.path.dirname(self.path))

    def abort(self) -> None:
        """Throw the file away; harmless after `commit` and when called twice."""
        try:
            with contextlib.suppress(OSError):
                self.file.close()  # flushing into a full disk fails here too, and the file goes all the same
        finally:
            _remove(self.temporary)

    def __del__(self) -> None:
        # a writer that was forgotten leaves nothing behind; a process forked off meanwhile leaves it alone
        if hasattr(self, "file") and os.getpid() == self._process:
            self.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self.abort()


@contextlib.contextmanager
def _blaming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Put the name of the target into errors: nobody asked for a file of the temporary name."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):  # it has its place already; or the folder may not be written any more
        os.unlink(path)


def _create_beside(path: str, mode: int) -> tuple[str, int]:
    """A new temporary file for a target, locked where files can be; those that dead writers left are removed."""
    folder, name = os.path.split(path)
    stem = f".{name[:40]}."  # a name that is as long as names may be has no room for more
    _sweep(folder, re.compile(re.escape(stem) + r"[0-9a-f]{8}\.part"))
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    while True:
        temporary = os.path.join(folder, f"{stem}{os.urandom(4).hex()}.part")
        try:
            # os.open and not tempfile, which would make the file private whatever the umask says
            descriptor = os.open(temporary, flags, mode)
            if _lock(descriptor) and os.path.exists(temporary):
                return temporary, descriptor
        except KeyboardInterrupt:  # it may be there by then
            _remove(temporary)
            raise
        os.close(descriptor)  # another writer swept it before it was locked


def _lock(descriptor: int) -> bool:
    """Lock a file for as long as it is open; False where another has it. Where there are no locks nothing is done."""
    if _POSIX:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # some network file systems
            pass
    return True


def _sweep(folder: str, pattern: re.Pattern[str]) -> None:
    """Remove temporary files whose writers are dead: those that are not locked, though they could be."""
    with contextlib.suppress(OSError), os.scandir(folder or ".") as entries:
        for entry in entries:
            if pattern.fullmatch(entry.name):
                with contextlib.suppress(OSError):
                    _remove_if_dead(entry.path)


def _remove_if_dead(path: str) -> None:
    if not _POSIX:
        if time.time() - os.stat(path).st_mtime > _SETTLED:
            os.unlink(path)
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    finally:
        os.close(descriptor)


def _sync_folder(folder: str) -> None:
    """Make the rename itself durable, where the system lets a folder be synced."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder or ".", os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
