"""What goes wrong in time travel."""


class HistoryError(Exception):
    """The history cannot do what it was asked: the message says what is possible."""


class Interrupted(HistoryError):
    """What was asked for was ended from outside, as `History.is_interrupted` wanted."""
