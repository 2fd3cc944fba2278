"""SQI registers in hardware (see `vac.isa.sqi`)."""

from amaranth.hdl import Array, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from vac.isa import sqi
from vac.isa.state_map import HostRegister


def _saturated(m: Module, name: str, value: Value, bits: int) -> Signal:
    """Unsigned value clipped to `bits` bits."""
    wide = Signal(len(value), name=f"{name}_wide")
    clipped = Signal(bits, name=name)
    m.d.comb += [wide.eq(value), clipped.eq(Mux(wide[bits:].any(), (1 << bits) - 1, wide[:bits]))]
    return clipped


class SqiUnit(wiring.Component):
    """Counts events and folds them every 256 ticks.

    Events of a retiring instruction are given in one cycle; the registers show them in the next, and the fold, where
    `last_of_epoch` was given, in the one after that.

    Attributes: branch: In(1) a conditional branch retired, `taken`: In(1), `history_index`: In(4).
    emit: In(1), `emit_value`: In(32). refuse: In(1). last_of_epoch: In(1), the retiring tick ends an epoch.
    folding: Out(1), the fold is still to come. coherence, entropy, drift, score: Out(16).
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
    folding: Out(1)
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

    def elaborate(self, platform: object) -> Module:
        m = Module()
        predicted = Signal()
        m.d.comb += predicted.eq(Array(self.history)[self.history_index])
        mispredictions = Signal(9)
        distance = Signal(16)
        refusals = Signal(8)
        # While a fold is pending the counts belong to the epoch that ended, and new events start from zero.
        m.d.comb += [
            mispredictions.eq(Mux(self.folding, 0, self.mispredictions)),
            distance.eq(Mux(self.folding, 0, self.distance)),
            refusals.eq(Mux(self.folding, 0, self.refusals)),
        ]
        moved = Signal(33)
        m.d.comb += moved.eq(
            Mux(self.emit_value >= self.last_emit, self.emit_value - self.last_emit, self.last_emit - self.emit_value)
        )
        step = _saturated(m, "step", moved[:32], 16)
        m.d.sync += [
            self.mispredictions.eq(mispredictions + (self.branch & (predicted != self.taken))),
            self.distance.eq(distance),
            self.refusals.eq(refusals),
            self.folding.eq(self.last_of_epoch),
        ]
        with m.If(self.branch):
            m.d.sync += Array(self.history)[self.history_index].eq(self.taken)
        with m.If(self.emit):
            m.d.sync += [
                self.distance.eq(_saturated(m, "distance_next", distance + step, 16)),
                self.last_emit.eq(self.emit_value),
            ]
        with m.If(self.refuse):
            m.d.sync += self.refusals.eq(_saturated(m, "refusals_next", refusals + 1, 8))
        self._fold(m)
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

    def _fold(self, m: Module) -> None:
        disorder = (self.mispredictions << sqi.COHERENCE_SHIFT) + (self.refusals << sqi.REFUSAL_SHIFT)
        targets = (
            (self.coherence, ~_saturated(m, "disorder", disorder, 16)),
            (self.entropy, _saturated(m, "entropy_target", self.mispredictions << sqi.ENTROPY_SHIFT, 16)),
            (self.drift, self.distance),
        )
        for register, target in targets:
            difference = Signal(signed(17))
            m.d.comb += difference.eq(target.as_unsigned()[:16] - register)
            with m.If(self.folding):
                m.d.sync += register.eq(register + (difference >> sqi.SMOOTHING_SHIFT))
