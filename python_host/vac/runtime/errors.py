"""What goes wrong with the Python API; all of it is a `VacError`."""


class VacError(Exception):
    """Anything that this API raises by itself; the message says what, where, and what to do."""


class InvalidImage(VacError):
    """The file or the text is no program that can be run."""


class InvalidOption(VacError):
    """A capability, quota, device, policy or engine that does not exist, or does not fit the others."""


class InvalidAddress(VacError):
    """There is no such memory in this machine."""


class MemoryFailed(VacError):
    """A tier of memory below the frames failed. Nothing is lost; asking again may succeed."""


class MachineStopped(VacError):
    """The machine has halted, trapped, reached a quota or been closed, and cannot do this any more."""


class CheckpointFailed(VacError):
    """The checkpoint cannot be written, read or used; what was there before is as it was."""


class NothingMoves(VacError):
    """Every machine waits for another one that does not go on."""
