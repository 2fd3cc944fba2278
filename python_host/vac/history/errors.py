"""What goes wrong in time travel."""


class HistoryError(Exception):
    """The history cannot do what it was asked: the message says what is possible."""
