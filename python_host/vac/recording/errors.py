"""What goes wrong with recordings."""


class RecordingError(Exception):
    """A recording is missing, damaged, of another version, or cannot be written; the message says where and what."""


class ReplayMismatch(RecordingError):
    """A replay did not give what was recorded."""
