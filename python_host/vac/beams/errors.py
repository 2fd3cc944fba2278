"""What can go wrong with a beam store. What was committed before stays there in every case."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}


class BeamStoreError(Exception):
    """Any failure of a beam store."""


class StoreFormatError(BeamStoreError):
    """The files are no beam store, or one of a version that this reader does not know."""


class StoreDamaged(BeamStoreError):
    """Something that was committed is not as it was written. Names the file."""


class StoreFull(BeamStoreError):
    """There is no room. Nothing of the refused call is kept; make room and call again."""


class StoreReadOnly(BeamStoreError):
    """The store may only be read: it was opened so, or the file system allows no more."""


class StoreBusy(BeamStoreError):
    """Another process writes to the store."""


class StoreUnavailable(BeamStoreError):
    """The store cannot be reached, or a failed commit left open what is kept. Open it again: what was committed is
    there, and `run(name).next_tick` says from where to go on."""


class UnknownRun(BeamStoreError):
    """The store holds no run of that name."""


class OutOfOrder(BeamStoreError):
    """Beams do not follow those that the run has."""


class BadQuery(BeamStoreError):
    """A cell, an EID, a limit or a range is not one."""


@contextmanager
def typed_errors(path: Path | str) -> Iterator[None]:
    """Turns an OSError about `path` into the error of this module that says what to do."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in _FULL:
            raise StoreFull(f"{path}: {reason}; make room and try again") from error
        if error.errno in _READ_ONLY:
            raise StoreReadOnly(f"{path}: {reason}; the store cannot be written there") from error
        raise StoreUnavailable(f"{path}: {reason}") from error
