"""Conditions looked for in the fast engine itself: compiled, and asked between any two instructions."""

from __future__ import annotations

import ctypes as c
import subprocess
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from ..checkpoint.point import Point
from ..fast.compiler import INCLUDE_DIRECTORY, EngineBuildError, find_compiler
from ..fast.machine import FastMachine, Trace
from ..machine.protocol import StopReason
from ..machine.state import Status
from ..recording.playback import Playback
from .expression import Expression
from .expression_in_c import NotInC, Translation
from .history import History

_NONE = (1 << 64) - 1
_CHUNK_TICKS = 1 << 20
"""Looked through before anybody is told how far it has come."""
_REACHED, _MAY_HOLD, _STOPPED, _NO_LEAF = range(4)
_TEMPLATE = """
#include <stdlib.h>
#include "vac_fast.h"

typedef struct {
    int (*run)(vac_machine *, uint64_t, vac_beam *, size_t, size_t *, vac_stop *);
    void (*get_state)(vac_machine *, vac_state *);
    int (*read_leaf)(const vac_machine *, uint32_t, uint32_t, uint8_t *, uint16_t *);
    vac_machine *machine;
    uint64_t latest; /* tick at which it held, while all are gone through */
    uint32_t goes_on, is_missing, slot, leaf;
} context;

static int fetch(context *c, uint32_t slot, uint64_t offset, uint32_t size, int64_t *value)
{
    uint8_t data[VAC_LEAF_BYTES];
    uint16_t labels;
    uint64_t leaf = UINT64_MAX;
    *value = 0;
    for (uint32_t i = 0; i < size; i++) {
        if ((offset + i) / VAC_LEAF_BYTES != leaf) {
            leaf = (offset + i) / VAC_LEAF_BYTES;
            if (c->read_leaf(c->machine, slot, (uint32_t)leaf, data, &labels)) {
                c->is_missing = 1, c->slot = slot, c->leaf = (uint32_t)leaf;
                return 1;
            }
        }
        *value |= (int64_t)data[(offset + i) % VAC_LEAF_BYTES] << 8 * i;
    }
    return 0;
}

static int at(context *c, const vac_state *s, uint32_t pointer, int64_t *value)
{
    const vac_window *window = &s->windows[pointer >> 28];
    const uint64_t offset = window->base + (pointer & 0xFFFFFFF);
    return !window->permissions || offset + 4 > UINT64_C(1) << 32 || fetch(c, window->slot, offset, 4, value);
}

static int64_t floored(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a % b < 0) != (b < 0)); }
static int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max_of(int64_t a, int64_t b) { return a > b ? a : b; }

static int holds(context *c, const vac_state *s, uint64_t inputs)
{
    (void)fetch, (void)at, (void)floored, (void)min_of, (void)max_of, (void)c, (void)s, (void)inputs;
    %s
}

#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
int search(context *c, uint64_t until, uint64_t inputs)
{
    vac_state state;
    vac_stop stop;
    size_t count;
    for (;;) {
        c->get_state(c->machine, &state);
        if (state.tick >= until)
            return 0;
        c->is_missing = 0;
        const int found = holds(c, &state, inputs);
        if (found == 1 && c->goes_on)
            c->latest = state.tick;
        else if (found)
            return c->is_missing ? 3 : 1;
        c->run(c->machine, state.tick + 1, NULL, 0, &count, &stop);
        if (stop.reason != VAC_STOP_TICK)
            return 2;
    }
}
"""


class _Context(c.Structure):
    _fields_ = [
        *((name, c.c_void_p) for name in ("run", "get_state", "read_leaf", "machine")),
        ("latest", c.c_uint64),
        *((name, c.c_uint32) for name in ("goes_on", "is_missing", "slot", "leaf")),
    ]


class NotCompiled(Exception):
    """The condition cannot be looked for in this way; the message says why."""


class CompiledSearch:
    """A condition of one history: some fifteen million ticks a second, on a machine of its own. Raises NotCompiled for
    what C does not say, and where there is no C compiler."""

    def __init__(self, history: History, condition: Expression) -> None:
        try:
            self._search = _library(Translation(condition.text).text).search
            machine = FastMachine(Trace.NOTHING)
        except NotInC as error:
            raise NotCompiled(f"{condition.text!r} is more than can be asked inside the engine") from error
        except EngineBuildError as error:
            raise NotCompiled(str(error)) from error
        self._condition = condition
        self._history = history
        self._machine = machine
        origin = history.timeline.kept[0]
        self._playback = Playback(machine, history.image, origin, history.log)
        self._tick = origin.tick
        library, handle = machine.raw
        entries = (library.vac_run, library.vac_get_state, library.vac_read_leaf)
        self._context = _Context(*(c.cast(entry, c.c_void_p) for entry in entries), handle)

    def first(self, history: History, first: int, last: int) -> int | None:
        """The earliest tick from `first` to `last`, both included, at which the condition holds; the cursor of the
        history may be anywhere then. Raises what `Expression.holds` raises, where the expression itself would first."""
        assert history is self._history
        self._context.goes_on = 0
        return next(self._found(first, last), None)

    def last(self, history: History, first: int, last: int) -> int | None:
        """The latest."""
        assert history is self._history
        self._context.goes_on, self._context.latest = 1, _NONE
        at_end = max(self._found(first, last), default=None)
        latest = self._context.latest
        found = [tick for tick in (at_end, None if latest == _NONE else latest) if tick is not None]
        return max(found, default=None)

    def _found(self, first: int, last: int) -> Iterator[int]:
        """Ticks at which the expression itself was asked and said yes, ascending. Where the search goes on, the others
        leave their latest behind."""
        context, playback = self._context, self._playback
        self._go_to(first)
        if self._tick < first or self._machine.state().status is not Status.RUNNING:
            yield from self._at_end(first, last)
            return
        while self._tick <= last:
            self._history.check()
            found = self._search(c.byref(context), min(last + 1, self._tick + _CHUNK_TICKS), playback.position)
            self._tick = self._machine.state().tick
            if found == _REACHED:
                continue
            if found == _NO_LEAF:
                playback.make_resident(context.slot, context.leaf)
                continue
            before = self._tick
            if found == _MAY_HOLD and self._holds(before):
                yield before
            reason = playback.run(before + 1)
            self._tick = self._machine.state().tick
            if reason is not StopReason.TICK:
                yield from self._at_end(before + (found == _MAY_HOLD), last)
                return

    def _holds(self, tick: int) -> bool:
        self._history.seek(tick)
        return self._history.tick == tick and self._condition.holds(self._history)

    def _at_end(self, first: int, last: int) -> Iterator[int]:
        """Of the ticks at which no instruction retires any more, the expression is asked."""
        for tick in range(first, last + 1):
            self._history.seek(tick)
            if self._history.tick != tick:
                return
            if self._condition.holds(self._history):
                yield tick

    def _go_to(self, tick: int) -> None:
        point: Point = self._history.timeline.at_or_before(tick)
        if not point.tick <= self._tick <= tick:
            self._playback.restore(point)
        self._playback.run(tick)
        self._tick = self._machine.state().tick


@lru_cache(maxsize=64)
def _library(condition: str) -> c.CDLL:
    """Raises EngineBuildError."""
    compiler = find_compiler()
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "search.c", Path(folder) / "search.so"
        source.write_text(_TEMPLATE.replace("%s", condition))
        flags = ("-std=gnu11", "-O1", "-fPIC", "-shared", f"-I{INCLUDE_DIRECTORY}")
        command = [compiler, "-x", "c", *flags, "-o", str(library), str(source)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise EngineBuildError(f"{compiler} could not compile the condition: {done.stderr.strip()[:1000]}")
        loaded = c.CDLL(str(library))
    loaded.search.restype = c.c_int
    loaded.search.argtypes = [c.POINTER(_Context), c.c_uint64, c.c_uint64]
    return loaded
