"""SQI registers in hardware (see `vac.isa.sqi`)."""

from contextlib import nullcontext

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from vac.isa import sqi
from vac.isa.state_map import HostRegister

from .config import CoreConfig


def _saturated(m: Module, name: str, value: Value, bits: int) -> Signal:
    """Unsigned value clipped to `bits` bits."""
    wide = Signal(len(value), name=f"{name}_wide")
    clipped = Signal(bits, name=name)
    m.d.comb += [wide.eq(value), clipped.eq(Mux(wide[bits:].any(), (1 << bits) - 1, wide[:bits]))]
    return clipped


class SqiUnit(wiring.Component):
    """Counts events and folds them every 256 ticks.

    Events of a retiring instruction are given in one cycle. The history shows them in the next, the counts in the
    second and the registers, where `last_of_epoch` was given, in the third cycle after; `busy` until then.

    Attributes: branch: In(1) a conditional branch retired, `taken`: In(1), `history_index`: In(4).
    emit: In(1), `emit_value`: In(32). refuse: In(1). last_of_epoch: In(1), the retiring tick ends an epoch.
    busy: Out(1). coherence, entropy, drift, score: Out(16).
    mispredictions: Out(9). distance: Out(16). refusals: Out(8). history: Out(16). last_emit: Out(32).
    host_write: In(1): the register numbered `host_register`: In(8) becomes `host_data`: In(32).
    """

    branch: In(1)
    taken: In(1)
    history_index: In(4)
    emit: In(1)
    emit_value: In(32)
    refuse: In(1)
    last_of_epoch: In(1)
    busy: Out(1)
    coherence: Out(16, init=sqi.FULL)
    entropy: Out(16)
    drift: Out(16)
    score: Out(16)
    mispredictions: Out(9)
    distance: Out(16)
    refusals: Out(8)
    history: Out(sqi.HISTORY_BITS)
    last_emit: Out(32)
    host_write: In(1)
    host_register: In(8)
    host_data: In(32)

    def __init__(self, config: CoreConfig) -> None:
        self._in_words = config.in_words
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # First cycle: what happened, as flags, and how far an emitted value moved.
        wrong = Signal()
        emitted = Signal()
        refused = Signal()
        epoch_ended = Signal()
        moved = Signal(signed(33))
        predicted = self.history.bit_select(self.history_index, 1)
        m.d.sync += [
            wrong.eq(self.branch & (predicted != self.taken)),
            emitted.eq(self.emit),
            refused.eq(self.refuse),
            epoch_ended.eq(self.last_of_epoch),
            *([] if self._in_words else [moved.eq(self.emit_value - self.last_emit)]),
        ]
        with m.If(self.branch):
            m.d.sync += self.history.bit_select(self.history_index, 1).eq(self.taken)
        with m.If(self.emit):
            m.d.sync += self.last_emit.eq(self.emit_value)
            if self._in_words:
                m.d.sync += moved.eq(self.emit_value - self.last_emit)

        # Second cycle: the counts. While a fold is pending they belong to the epoch that ended, and start from zero.
        mispredictions = Signal(9)
        distance = Signal(16)
        refusals = Signal(8)
        folding = Signal()
        m.d.comb += [
            mispredictions.eq(Mux(folding, 0, self.mispredictions)),
            distance.eq(Mux(folding, 0, self.distance)),
            refusals.eq(Mux(folding, 0, self.refusals)),
            self.busy.eq(wrong | emitted | refused | epoch_ended | folding),
        ]
        step, carry = self._clipped_magnitude(m, moved)
        m.d.sync += folding.eq(epoch_ended)
        with m.If(self.busy) if self._in_words else nullcontext():
            m.d.sync += [
                self.mispredictions.eq(mispredictions + wrong),
                self.distance.eq(Mux(emitted, _saturated(m, "distance_next", distance + step + carry, 16), distance)),
                self.refusals.eq(Mux(refused, _saturated(m, "refusals_next", refusals + 1, 8), refusals)),
            ]
        self._fold(m, folding)
        m.d.comb += self.score.eq(
            ((self.coherence << 1) + (sqi.FULL - self.entropy) + (sqi.FULL - self.drift)).as_unsigned()[2:18]
        )
        registers = {
            HostRegister.COHERENCE: self.coherence,
            HostRegister.ENTROPY: self.entropy,
            HostRegister.DRIFT: self.drift,
            HostRegister.MISPREDICTIONS: self.mispredictions,
            HostRegister.DISTANCE: self.distance,
            HostRegister.REFUSALS: self.refusals,
            HostRegister.HISTORY: self.history,
            HostRegister.LAST_EMIT: self.last_emit,
        }
        with m.If(self.host_write):
            with m.Switch(self.host_register):
                for number, register in registers.items():
                    with m.Case(number):
                        m.d.sync += register.eq(self.host_data)
        return m

    def _clipped_magnitude(self, m: Module, moved: Signal) -> tuple[Signal, Signal]:
        """Step and carry that add up to |moved|, at most 0xFFFF. The carry is left to the next adder."""
        folded, step, carry = Signal(32, name="folded"), Signal(16, name="step"), Signal(name="carry")
        m.d.comb += folded.eq(moved ^ moved[32].replicate(32))
        with m.If(folded[16:].any() | folded[:16].all()):
            m.d.comb += step.eq(sqi.FULL)
        with m.Else():
            m.d.comb += [step.eq(folded[:16]), carry.eq(moved[32])]
        return step, carry

    def _fold(self, m: Module, folding: Signal) -> None:
        """Third cycle, at the end of an epoch."""
        disorder = (self.mispredictions << sqi.COHERENCE_SHIFT) + (self.refusals << sqi.REFUSAL_SHIFT)
        targets = (
            (self.coherence, ~_saturated(m, "disorder", disorder, 16)),
            (self.entropy, _saturated(m, "entropy_target", self.mispredictions << sqi.ENTROPY_SHIFT, 16)),
            (self.drift, self.distance),
        )
        for register, target in targets:
            difference = Signal(signed(17))
            m.d.comb += difference.eq(target.as_unsigned()[:16] - register)
            with m.If(folding):
                m.d.sync += register.eq(register + (difference >> sqi.SMOOTHING_SHIFT))
