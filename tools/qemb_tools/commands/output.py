"""What the commands print for scripts."""

from __future__ import annotations

import json
import math
import sys
from typing import Any


def print_json(value: Any) -> None:  # noqa: ANN401 - whatever JSON holds
    """Print JSON. NaN and infinities, which JSON has not, become null; characters that the output has not, escapes."""
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    print(json.dumps(_finite(value), ensure_ascii=not utf8, allow_nan=False, indent=2))


def _finite(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
