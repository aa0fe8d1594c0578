"""Run the conformance corpus in a bare clone, with nothing installed: ``python3 conformance/run.py --help``."""

import sys

from qemb_conformance.cli import main

if __name__ == "__main__":
    sys.exit(main())
