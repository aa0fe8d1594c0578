"""Converting a file, or a gensim object, into another file."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from qemb_tools.edit import EditedSource, Edits, nothing_left
from qemb_tools.formats import Target, create_sink, format_to_write, open_source
from qemb_tools.gensim_model import from_object
from qemb_tools.interface import Batch, Kept, ReadOptions, Sink, Source, UsageError, source_error
from qemb_tools.progress import progress
from qemb_tools.qemb_file import KEPT, QembSink, describe

if TYPE_CHECKING:
    from collections.abc import Iterator

    import qemb


@dataclass(frozen=True)
class Summary:
    """What a conversion did.

    Attributes
    ----------
    rows, dim : int
        Shape of what was written.
    scheme : str
        How a ``.qemb`` file stores it, such as "int8 with a scale for each row, 8.3 bits a
        value"; "" for other formats.
    duplicates : int
        Rows left out because their token had come before.
    size : int
        Bytes written; 0 after a dry run.
    notes : list of str
        What the user should be told.
    """

    rows: int
    dim: int
    scheme: str
    duplicates: int
    size: int
    notes: list[str] = field(default_factory=list)


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    source_format: str | None = None,
    target_format: str | None = None,
    options: ReadOptions | None = None,
    edits: Edits | None = None,
    metadata: dict[str, Any] | None = None,
    show_progress: bool = False,
    dry_run: bool = False,
    **writer: Unpack[qemb.EncoderOptions],
) -> Summary:
    """Convert a file of vectors into another format.

    Parameters
    ----------
    source, target : path
        The files. The target appears when it is complete, or not at all.
    source_format, target_format : str, optional
        Names as ``qemb formats`` lists them; told by content and name where left out.
    options : ReadOptions, optional
        How to read the source.
    edits : Edits, optional
        Which rows are taken, and what is changed of them.
    metadata : dict, optional
        Added to what the source says of itself.
    show_progress : bool
        Show a progress bar where standard error is a terminal.
    dry_run : bool
        Read everything and write nothing.
    **writer
        Arguments of `qemb.Writer`: ``bits``, ``scheme``, ``effort``, ``scale``, ``block``, ``offset``, ``sub_dim``,
        ``compress``.

    Returns
    -------
    Summary
        What was done.

    Raises
    ------
    UsageError
        The request is wrong: a file or an extra is missing, options do not fit.
    qemb.QembError
        The source is bad, or holds what the target cannot.
    """
    source, target = os.fspath(source), os.fspath(target)
    with open_source(source, options, source_format) as table:
        if os.path.exists(target) and os.path.exists(source) and os.path.samefile(source, target):
            raise UsageError("source and target are the same file; write to another name")
        edited = EditedSource(table, edits) if edits else table
        return _write(
            edited, source, target, target_format, metadata or {}, writer, show_progress=show_progress, dry_run=dry_run
        )


def from_gensim(
    model: object,
    path: str | os.PathLike[str],
    *,
    metadata: dict[str, Any] | None = None,
    **writer: Unpack[qemb.EncoderOptions],
) -> Summary:
    """Write a gensim object in memory to a file, in the format that its name tells.

    Parameters
    ----------
    model : gensim model or KeyedVectors
        Its words, in their order, with their counts where it has them.
    path : str
        The file to write.
    metadata : dict, optional
        Added to what is known of the model.
    **writer
        Arguments of `qemb.Writer`, such as ``bits=4``.

    Raises
    ------
    TypeError
        The object has no vectors.
    qemb.QembError
        The vectors cannot be written.
    """
    with from_object(model) as table:
        return _write(table, "the model", os.fspath(path), None, metadata or {}, writer, show_progress=False)


def _write(
    table: Source,
    where: str,
    target: str,
    target_format: str | None,
    metadata: dict[str, Any],
    writer: qemb.EncoderOptions,
    *,
    show_progress: bool,
    dry_run: bool = False,
) -> Summary:
    metadata = table.metadata | metadata
    kept = table.kept
    to_qemb = format_to_write(target, target_format).name == "qemb"
    if not to_qemb or writer.keys() - {"compress"}:
        kept = None
    if kept is not None:
        metadata |= {KEPT: kept.name} if kept.name else {}
        # rows that are chosen may be none, which shows only where they are read
        if not kept.options and table.rows != 0 and not dry_run:
            return _keep(table, kept, target, metadata, writer, show_progress=show_progress)
        writer = kept.options | writer
    rows = 0
    subwords = table.subwords if to_qemb else None
    goal = Target(target, table.dim, table.rows, metadata, writer, subwords)
    sink: Sink = _Nothing(goal, target_format) if dry_run else create_sink(goal, target_format)
    if isinstance(sink, QembSink):
        sink.show_progress = show_progress
    distinct = _Distinct()
    with sink, progress(table.expected, "converting", wanted=show_progress) as bar:
        for read in table.batches():
            # the writer of .qemb needs an index of the tokens anyway, and finds duplicates itself
            batch = read if isinstance(sink, QembSink) else distinct.only_first(read)
            sink.append(batch)
            rows += len(batch.tokens)
            bar.update(len(read.tokens))
        if subwords is not None and isinstance(sink, QembSink):
            for vectors in table.buckets():
                sink.append_buckets(vectors)
        if not rows:
            if isinstance(table, EditedSource):
                raise nothing_left()
            raise source_error("there are no rows; check that the file is whole", where)
    duplicates, scheme = distinct.dropped, ""
    if isinstance(sink, QembSink):
        duplicates, scheme = sink.duplicates, describe(target, kept)
        rows -= duplicates
    if table.subwords is not None and subwords is None:
        table.notes.append("subword buckets were left out: only .qemb files hold them")
    size = 0 if dry_run else Path(target).stat().st_size
    return Summary(rows, table.dim, scheme, duplicates, size, table.notes + sink.notes)


def _keep(
    table: Source,
    kept: Kept,
    target: str,
    metadata: dict[str, Any],
    writer: qemb.EncoderOptions,
    *,
    show_progress: bool,
) -> Summary:
    """Write the codes of a source as they are."""
    with progress(table.expected, "copying", wanted=show_progress) as bar:
        duplicates = table.keep(target, metadata, compress=writer.get("compress"), progress=bar.update)
    rows = (table.rows or 0) - duplicates
    return Summary(rows, table.dim, describe(target, kept), duplicates, Path(target).stat().st_size, table.notes)


class _Nothing(Sink):
    """What a dry run writes to. Options that do not go together are refused as they would be."""

    def __init__(self, target: Target, format_name: str | None) -> None:
        self.notes = []
        create_sink(target, format_name).abort()

    def append(self, batch: Batch) -> None:
        """Write nothing."""

    def finish(self) -> None:
        """Publish nothing."""

    def abort(self) -> None:
        """There is nothing to throw away."""


class _Distinct:
    """Leaves out rows whose token has come before."""

    def __init__(self) -> None:
        self.dropped = 0
        self._seen: set[bytes] = set()

    def only_first(self, batch: Batch) -> Batch:
        if self._seen.isdisjoint(batch.tokens) and len(new := set(batch.tokens)) == len(batch.tokens):
            self._seen |= new
            return batch
        keep = list(self._first(batch.tokens))
        self.dropped += len(batch.tokens) - len(keep)
        rows = np.array(keep, dtype=np.intp)
        counts = None if batch.counts is None else batch.counts[rows]
        return Batch([batch.tokens[i] for i in keep], batch.vectors[rows], counts)

    def _first(self, tokens: list[bytes]) -> Iterator[int]:
        for i, token in enumerate(tokens):
            if token not in self._seen:
                self._seen.add(token)
                yield i
