"""Configuration of all tests: property tests draw the same examples in every run unless told to explore.

HYPOTHESIS_PROFILE=explore draws new ones. Tests that interrupt what they started work in the background too: a shell
starts that with SIGINT ignored, and whatever is started from there inherits it.
"""

import os
import signal

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", deadline=None, print_blob=True, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
