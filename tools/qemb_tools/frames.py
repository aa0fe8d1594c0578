"""Files as Arrow tables and pandas frames.

>>> from qemb_tools.frames import to_arrow, to_pandas
>>> to_pandas("glove.qemb").loc["king"]                            # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qemb
from qemb_tools.interface import missing_extra

if TYPE_CHECKING:
    import os


def to_arrow(path: str | os.PathLike[str]) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Decode a file into a pyarrow.Table: ``token``, string (binary where tokens are bytes), and ``vector``.

    Vectors are a fixed-size list of float32; with them ``count``, uint64, where the file has counts.

    Raises
    ------
    UsageError
        pyarrow is not installed.
    qemb.QembError
        The file is bad.
    """
    try:
        import pyarrow as pa
    except ImportError:
        raise missing_extra("pyarrow", "parquet") from None
    with qemb.open(path) as file:
        tokens = pa.array(file.tokens.iter_raw(), pa.binary())
        if not file.info.byte_tokens:
            tokens = tokens.cast(pa.string())
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(file.matrix(0, len(file)).reshape(-1)), file.dim)
        columns = {"token": tokens, "vector": vectors}
        if file.counts is not None:
            columns["count"] = pa.array(file.counts)
        return pa.table(columns)


def to_pandas(path: str | os.PathLike[str]) -> Any:  # noqa: ANN401 - pandas need not be installed
    """Decode a file into a pandas.DataFrame of float32, indexed by token, with a column for each value.

    Raises
    ------
    UsageError
        pandas is not installed.
    qemb.QembError
        The file is bad.
    """
    try:
        import pandas as pd
    except ImportError:
        raise missing_extra("pandas", "pandas") from None
    with qemb.open(path) as file:
        return pd.DataFrame(file.matrix(0, len(file)), index=pd.Index(list(file.tokens), name="token", dtype=object))
