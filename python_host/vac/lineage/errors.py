"""What goes wrong with lineage."""


class LineageError(Exception):
    """There is no such value, or it cannot be followed: the message says what is possible."""
