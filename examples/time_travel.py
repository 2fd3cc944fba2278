"""A walk through one run, forwards and backwards: `python examples/time_travel.py`.

Each `# %%` begins a cell; notebooks and editors that know them run the file piece by piece.
"""

# %% A program that sorts the lines that it reads. It runs as far as one goes.
from pathlib import Path

from vac.debugger.dreams import Change
from vac.debugger.session import Session
from vac.history.conditions import Requested, Where
from vac.history.expression import Expression
from vac.lineage.slicer import Options
from vac.machine.protocol import EventKind

SOURCE = Path(__file__).resolve().parents[1] / "firmware" / "demos" / "sort_lines.vasm"
session = Session.open(SOURCE, console_input=b"pear\napple\nquince\nfig\n")
session.end()
print(f"{session.status} at tick {session.tick:,}; it wrote {session.output().decode().split()}")

# %% Any tick is as near as any other.
session.seek(100)
instruction = session.history.instruction()
assert instruction
print(f"tick {session.tick}: {instruction.text()}")
session.step_back()
print(f"tick {session.tick}: {session.source.location(session.state.pc)}, root {session.history.root().hex()[:16]}…")

# %% Back from the end to the last thing that it asked of the host: the line that it writes there.
session.end()
session.run_back_to(Requested(EventKind.SYSTEM_CALL))
_, pointer, length = session.state.data_stack[-3:]
line = session.places.memory(f"{pointer:#x}", length)
print(f"tick {session.tick}: it writes {session.read(line)}")

# %% Who wrote the first byte of it? The session then stands before that store.
first = session.places.memory(f"{pointer:#x}", 1)
asked_at = session.tick
write = session.who_wrote(first)
assert write and write.value is not None
print(f"tick {session.tick}: {session.source.location(session.state.pc)} stored {write.value:#x}")

# %% Why is it what it is? Down to the input that it came from.
session.seek(asked_at)
lineage = session.why(first, Options(addresses=False))
(entry,) = [session.history.log[index] for index in lineage.inputs]
print(f"made of {lineage.writes} writes; the console gave {chr(entry.answer.value)!r} at tick {entry.tick}")

# %% The first tick at which an expression holds, asked inside the engine.
session.start()
session.run_to(Where(Expression("len(stack) == 2 and stack[0] > stack[1] > 0")))
print(f"tick {session.tick}: stack {session.state.data_stack}")

# %% What if? Another future from the tick at which that letter came, with another line.
session.seek(entry.tick)
session.dream([], console_input=b"zebra\n")
session.end()
print(f"dreamt: {session.output().decode().split()}")
session.go_over(0)

# %% And with the letter changed after it was read.
session.seek(entry.tick + 1)
top = session.places.cell("s0")
session.dream([Change(top, b"Q\0\0\0")])
session.end()
print(f"dreamt: {session.output().decode().split()}")
