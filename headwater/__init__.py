"""Headwater: every capability is one typed tool, served through every door under one policy.

In a wheel the packages `core`, `engine`, `tools`, ... live in `headwater/app`, so that names as common
as those never land loose in site-packages; here they are put on the path."""

import sys
from pathlib import Path

__version__ = "0.1.0"

_app = Path(__file__).parent / "app"
if _app.is_dir() and str(_app) not in sys.path:
    sys.path.insert(0, str(_app))
