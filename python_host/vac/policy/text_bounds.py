"""Bounds on policy text, looked at before Cedar's parser sees it: that one recurses, and its stack has an end."""

from __future__ import annotations

import re

from .errors import PolicyError

MAX_TEXT_CHARACTERS = 1 << 20
MAX_NESTING = 64
"""Brackets inside brackets."""
MAX_TOKENS = 2000
"""Of one policy; they bound the length of chains such as `a && b && c`."""

_TOKENS = re.compile(r'//[^\r\n]*|"(?:\\.|[^"\\])*"|\w+|\S', re.DOTALL)


def check_bounds(text: str) -> None:
    """Raises PolicyError."""
    if len(text) > MAX_TEXT_CHARACTERS:
        raise PolicyError(f"{len(text):,} characters; policies may have {MAX_TEXT_CHARACTERS:,}")
    depth = count = 0
    for found in _TOKENS.finditer(text):
        token = found[0]
        if token.startswith("//"):
            continue
        count = 0 if token == ";" else count + 1
        depth += (token in "([{") - (token in ")]}")
        if depth > MAX_NESTING or count > MAX_TOKENS:
            line = text.count("\n", 0, found.start()) + 1
            what = (
                f"brackets nested deeper than {MAX_NESTING}" if depth > MAX_NESTING else f"more than {MAX_TOKENS} words"
            )
            raise PolicyError(f"line {line}: {what} in one policy; split it")
