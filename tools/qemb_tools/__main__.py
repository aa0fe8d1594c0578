"""``python -m qemb_tools`` is the ``qemb`` command."""

import sys

from qemb_tools.cli import main

sys.exit(main())
