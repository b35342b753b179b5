"""The tests of the service use the tools of the tests of the whole."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "app"))
