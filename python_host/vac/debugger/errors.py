"""What a debugger cannot do."""


class DebuggerError(Exception):
    """A place, condition or command that means nothing here; the message says what would."""
