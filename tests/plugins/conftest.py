"""A whole gateway is run here with the tools of tests/app, and outputs with those of tests/notify."""

import sys
from pathlib import Path

for folder in ("app", "notify"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))
