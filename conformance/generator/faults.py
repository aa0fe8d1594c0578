"""All faults, in the order of the parts of a file."""

import faults_container  # noqa: F401
import faults_contents  # noqa: F401
import faults_frames  # noqa: F401
import faults_vectors  # noqa: F401
from fault import FAULTS, GUARDS

__all__ = ["FAULTS", "GUARDS"]
