"""A debugger that goes backwards as easily as forwards: the session as a Python object, and a terminal view of it."""

from .breakpoints import Breakpoint
from .errors import DebuggerError
from .opening import Program, open_program
from .session import Session, Stopped

__all__ = ["Breakpoint", "DebuggerError", "Program", "Session", "Stopped", "open_program"]
