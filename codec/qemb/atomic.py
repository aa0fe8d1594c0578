"""Files that appear whole or not at all: a temporary file beside the target, fsync, rename, fsync of the folder."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING, BinaryIO, Self

if TYPE_CHECKING:
    from types import TracebackType


class AtomicFile:
    """A binary file that takes its place under ``path`` only when it is complete.

    Leaving the ``with`` block normally publishes the file; leaving it by an exception, Ctrl-C included, removes it
    and leaves what was there before. A symbolic link is followed, and the mode of a file that is replaced is kept.

    Raises
    ------
    OSError
        As from ``open``: the folder is missing, is not writable, or the target is not a regular file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.realpath(os.fsdecode(path))
        folder, name = os.path.split(self.path)
        # a name that is as long as names may be has no room for more
        self.temporary = os.path.join(folder, f".{name[:40]}.{os.urandom(4).hex()}.part")
        mode = None
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(self.path)
            if stat.S_ISDIR(status.st_mode):
                raise IsADirectoryError(errno.EISDIR, "the target is a folder", os.fspath(path))
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "the target is not a regular file", os.fspath(path))
            mode = stat.S_IMODE(status.st_mode)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        try:
            # os.open and not tempfile, which would make the file private whatever the umask says
            descriptor = os.open(self.temporary, flags, 0o666)
        except OSError as error:  # nobody asked for a file of the temporary name
            raise OSError(error.errno, error.strerror, os.fspath(path)) from None
        self.file: BinaryIO = os.fdopen(descriptor, "w+b")
        if mode is not None:
            with contextlib.suppress(OSError):  # some file systems have no modes
                os.chmod(self.temporary, mode)

    def commit(self) -> None:
        """Publish the file under its name; on any failure nothing is left behind."""
        try:
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
            os.replace(self.temporary, self.path)
        except BaseException:
            self.abort()
            raise
        _sync_folder(os.path.dirname(self.path))

    def abort(self) -> None:
        """Throw the file away; harmless after `commit` and when called twice."""
        with contextlib.suppress(OSError):
            self.file.close()  # flushing into a full disk fails here too, and the file goes all the same
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.temporary)

    def __del__(self) -> None:
        if hasattr(self, "file"):  # a writer that was forgotten leaves nothing behind
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


def _sync_folder(folder: str) -> None:
    """Make the rename itself durable, where the system lets a folder be synced."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder or ".", os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
