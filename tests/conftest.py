"""What holds for all tests: property tests without a time limit of their own, the same examples at each run.

A machine that is busy must not turn a slow example into a failure, and a change must not fail for an example that
it did not cause. To search for new examples: HYPOTHESIS_PROFILE=explore.
"""

import os

from hypothesis import settings

settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
