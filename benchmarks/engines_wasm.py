"""The four kernels as WebAssembly, for wasmtime and wasm3; and with ticks charged, as an engine of VAC would have to.

The charged form is a prototype of a JIT through WebAssembly: like VAC's own it charges each loop's ticks at its head
and leaves when they are used up. It keeps no branch history and no windows: a whole engine would be slower.
"""

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.workloads import DATA_BYTES, Workload

_KERNELS = {
    "crc32": """
    (local $p i32) (local $crc i32) (local $bits i32)
    (local.set $crc (i32.const -1))
    (loop $byte
      {charge 3}
      (local.set $crc (i32.xor (local.get $crc) (i32.load8_u (local.get $p))))
      (local.set $p (i32.add (local.get $p) (i32.const 1)))
      (local.set $bits (i32.const 8))
      (loop $bit
        {charge 6}
        (local.set $crc (i32.xor (i32.shr_u (local.get $crc) (i32.const 1))
          (i32.and (i32.sub (i32.const 0) (i32.and (local.get $crc) (i32.const 1))) (i32.const 0xEDB88320))))
        (br_if $bit (local.tee $bits (i32.sub (local.get $bits) (i32.const 1)))))
      (br_if $byte (i32.lt_u (local.get $p) (i32.const 65536))))
    (i32.xor (local.get $crc) (i32.const -1))""",
    "fib": """
    (local $runs i32) (local $current i32) (local $next i32) (local $sum i32) (local $steps i32)
    (local.set $runs (local.get $repeats))
    (loop $again
      {charge 4}
      (local.set $current (i32.const 0))
      (local.set $next (i32.const 1))
      (local.set $steps (i32.const 47))
      (loop $step
        {charge 4}
        (local.set $sum (i32.add (local.get $current) (local.get $next)))
        (local.set $current (local.get $next))
        (local.set $next (local.get $sum))
        (br_if $step (local.tee $steps (i32.sub (local.get $steps) (i32.const 1)))))
      (br_if $again (local.tee $runs (i32.sub (local.get $runs) (i32.const 1)))))
    (local.get $current)""",
    "sieve": """
    (local $runs i32) (local $primes i32) (local $number i32) (local $multiple i32)
    (local.set $runs (local.get $repeats))
    (loop $again
      {charge 4}
      (local.set $multiple (i32.const 0))
      (loop $fill
        {charge 2}
        (i32.store8 (local.get $multiple) (i32.const 1))
        (br_if $fill (i32.lt_u (local.tee $multiple (i32.add (local.get $multiple) (i32.const 1))) (i32.const 8192))))
      (local.set $primes (i32.const 0))
      (local.set $number (i32.const 2))
      (loop $try
        {charge 4}
        (if (i32.load8_u (local.get $number)) (then
          {charge 3}
          (local.set $primes (i32.add (local.get $primes) (i32.const 1)))
          (local.set $multiple (i32.add (local.get $number) (local.get $number)))
          (if (i32.lt_u (local.get $multiple) (i32.const 8192)) (then
            (loop $strike
              {charge 3}
              (i32.store8 (local.get $multiple) (i32.const 0))
              (br_if $strike (i32.lt_u
                (local.tee $multiple (i32.add (local.get $multiple) (local.get $number))) (i32.const 8192))))))))
        (br_if $try (i32.lt_u (local.tee $number (i32.add (local.get $number) (i32.const 1))) (i32.const 8192))))
      (br_if $again (local.tee $runs (i32.sub (local.get $runs) (i32.const 1)))))
    (local.get $primes)""",
    "copy": """
    (local $runs i32) (local $source i32) (local $word i32)
    (local.set $runs (local.get $repeats))
    (loop $again
      {charge 4}
      (local.set $source (i32.const 0))
      (loop $move
        {charge 3}
        (i32.store offset=8192 (local.get $source) (local.tee $word (i32.load (local.get $source))))
        (br_if $move (i32.lt_u (local.tee $source (i32.add (local.get $source) (i32.const 4))) (i32.const 4096))))
      (br_if $again (local.tee $runs (i32.sub (local.get $runs) (i32.const 1)))))
    (local.get $word)""",
}


def source(kernel: str, is_charged: bool) -> str:
    """WebAssembly text of a kernel: `run(repeats, ticks)` gives its result, -1 when the ticks were too few."""
    body = _KERNELS[kernel]
    while "{charge " in body:
        start = body.index("{charge ")
        end = body.index("}", start)
        ticks = body[start + len("{charge ") : end]
        charge = (
            f"(br_if $out (i32.const -1) (i64.lt_s (local.tee $ticks (i64.sub (local.get $ticks) (i64.const {ticks})))"
            " (i64.const 0))) (drop)"
        )
        body = body[:start] + (charge if is_charged else "") + body[end + 1 :]
    declared = "".join(line + "\n" for line in body.splitlines() if line.strip().startswith("(local $"))
    rest = "".join(line + "\n" for line in body.splitlines() if not line.strip().startswith("(local $"))
    return (
        '(module (memory (export "memory") 2)\n'
        ' (func (export "run") (param $repeats i32) (param $ticks i64) (result i32)\n'
        f"{declared} (block $out (result i32)\n{rest})))"
    )


@dataclass(frozen=True)
class WasmKernel:
    """A kernel ready to run. run: its result after so many repeats. write, read: the data area."""

    run: Callable[[int], int]
    write: Callable[[bytes], object]
    read: Callable[[], bytes]
    compiling_seconds: float


_TICKS = 1 << 60


def on_wasmtime(workload: Workload, is_charged: bool) -> WasmKernel:
    """The kernel compiled by wasmtime."""
    import wasmtime

    store = wasmtime.Store()
    begun = time.perf_counter()
    module = wasmtime.Module(store.engine, source(workload.name, is_charged))
    seconds = time.perf_counter() - begun
    exports = wasmtime.Instance(store, module, []).exports(store)
    run, memory = exports["run"], exports["memory"]
    assert isinstance(run, wasmtime.Func) and isinstance(memory, wasmtime.Memory)
    return WasmKernel(
        lambda repeats: run(store, repeats, _TICKS) & 0xFFFFFFFF,
        lambda data: memory.write(store, data, 0),
        lambda: bytes(memory.read(store, 0, DATA_BYTES)),
        seconds,
    )


def on_wasm3(workload: Workload) -> WasmKernel:
    """The kernel in wasm3's interpreter."""
    import wasmtime

    # No wheel carries it: it may be there or not, and no checker can know it.
    wasm3 = importlib.import_module("wasm3")
    begun = time.perf_counter()
    environment = wasm3.Environment()
    runtime = environment.new_runtime(1 << 16)
    runtime.load(environment.parse_module(bytes(wasmtime.wat2wasm(source(workload.name, False)))))
    run = runtime.find_function("run")
    seconds = time.perf_counter() - begun

    def write(data: bytes) -> None:
        runtime.get_memory(0)[: len(data)] = data

    return WasmKernel(
        lambda repeats: run(repeats, _TICKS) & 0xFFFFFFFF,
        write,
        lambda: bytes(runtime.get_memory(0)[:DATA_BYTES]),
        seconds,
    )
