"""``python -m qemb_conformance``."""

import sys

from qemb_conformance.cli import main

sys.exit(main())
