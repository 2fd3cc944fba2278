"""One worker process as its parent sees it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from ..engines.registry import EngineError
from ..image.image import ImageError
from ..machine.protocol import MachineError
from .message_socket import MessageSocket
from .shared_leaves import SharedLeaves, new_file

_ENDS_WITHIN = 5.0
"""Seconds in which a worker that was told to end may finish the slice it is in."""
_ERRORS = {"EngineError": EngineError, "ImageError": ImageError, "MachineError": MachineError}


class ProcessEnded(Exception):
    """The process is gone. The message says how it ended. was_asked: whether it still got the request in question, so
    that this may have ended it."""

    def __init__(self, ending: str, was_asked: bool) -> None:
        super().__init__(ending)
        self.was_asked = was_asked


class WorkerProcess:
    """Starts a process. Requests are executed in the order in which they were sent. Raises OSError.

    pipe: for who waits for several processes; what comes there is read by this object. Not for two threads at a time.
    """

    def __init__(self) -> None:
        here, there = socket.socketpair()
        memory = new_file()
        try:
            self.leaves = SharedLeaves(memory)
            # A session of its own: a Ctrl-C at the terminal reaches the parent only. It ends when its pipe does.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "vac.scheduler.worker", str(there.fileno()), str(memory)],
                pass_fds=(there.fileno(), memory),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        except BaseException:
            here.close()
            raise
        finally:
            there.close()
            os.close(memory)
        self.pipe = MessageSocket(here)
        self._sent = 0
        self._open: deque[int] = deque()
        """Tickets whose replies have not come, oldest first."""
        self._replies: dict[int, tuple[bool, Any]] = {}

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, requests: Sequence[tuple[Any, ...]]) -> int:
        """Sends a message; returns the ticket for its reply. Raises ProcessEnded."""
        try:
            self.pipe.send(requests)
        except OSError:
            raise ProcessEnded(self._ending(), was_asked=False) from None
        except BaseException:
            self._give_up()
            raise
        self._sent += 1
        self._open.append(self._sent)
        return self._sent

    def is_ready(self, ticket: int) -> bool:
        """Whether `reply` would return at once. Raises ProcessEnded."""
        while ticket not in self._replies:
            try:
                if not self.pipe.poll():
                    return False
            except OSError:
                raise ProcessEnded(self._ending(), was_asked=True) from None
            self._take()
        return True

    def reply(self, ticket: int) -> Any:
        """The result, once it is there. Raises MachineError, ImageError or EngineError as the worker did, and
        ProcessEnded."""
        while ticket not in self._replies:
            self._take()
        is_good, result = self._replies.pop(ticket)
        if is_good:
            return result
        kind, text = result
        raise _ERRORS[kind](text)

    def call(self, *requests: tuple[Any, ...]) -> Any:
        """Sends a message and waits for its reply."""
        return self.reply(self.send(requests))

    def _take(self) -> None:
        try:
            reply = self.pipe.recv()
        except (EOFError, OSError):
            raise ProcessEnded(self._ending(), was_asked=True) from None
        except BaseException:
            self._give_up()
            raise
        self._replies[self._open.popleft()] = reply

    def _give_up(self) -> None:
        """Half a message may have passed, as when Ctrl-C came in its middle: nothing after it could be understood."""
        self._process.kill()
        self.pipe.close()

    def _ending(self) -> str:
        try:
            status = self._process.wait(_ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        return f"worker process {self.pid} ended with {how}"

    def end(self) -> None:
        """Tells the process to end, without waiting for it."""
        self.pipe.close()

    def close(self) -> None:
        """Ends the process; what it held is lost. Can be called again."""
        self.end()
        end = time.monotonic() + _ENDS_WITHIN
        while self._process.poll() is None and time.monotonic() < end:
            time.sleep(0.002)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self.leaves.close()
