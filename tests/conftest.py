from __future__ import annotations

from hypothesis import settings

# The same examples at every run, so that a test fails for everyone or for no one.
settings.register_profile("bounded", max_examples=150, deadline=None, derandomize=True)
settings.register_profile("long", max_examples=20_000, deadline=None, print_blob=True)
settings.load_profile("bounded")
