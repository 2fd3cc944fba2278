"""VirtualCPU programs run unchanged, and as a small interpreter says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vac.assembler.diagnostics import AssemblyErrors
from vac.contracts.cpu_instruction import CpuInstruction
from vac.engines.registry import ENGINES as ENGINES_BY_NAME
from vac.image.verifier import verify
from vac.isa.beam import BEAM_BYTES
from vac.machine.protocol import MachineError
from vac.virtual_cpu.execution import VirtualCpu, VirtualCpuError
from vac.virtual_cpu.operations import OPERATIONS
from vac.virtual_cpu.program import Address, Register, Text, parse
from vac.virtual_cpu.translation import translate, translate_file

from .interpreter import Interpreter, Trapped

REFERENCE = Path(__file__).with_name("reference.vcpu")


def run(text: str, engine: str = "golden") -> tuple[VirtualCpu, str]:
    output = bytearray()
    cpu = VirtualCpu(translate(text), sink=output.extend, engine=engine)
    cpu.run(1_000_000)
    return cpu, output.decode()


EXAMPLE = "LOAD R1, 10\nLOAD R2, 20\nADD R3, R1, R2\nSTORE R3, 100\nPRINT R3\nHALT\n"
ENGINES = [name for name in ENGINES_BY_NAME if name != "board"]


@pytest.fixture(scope="module")
def golden_digest() -> int | None:
    cpu = VirtualCpu(translate(EXAMPLE), engine="golden")
    cpu.run()
    return cpu.host.machine.state().digest


@pytest.mark.parametrize("has_beams", [False, True])
@pytest.mark.parametrize("engine", ENGINES)
def test_the_reference_program_prints_thirty(engine: str, has_beams: bool, golden_digest: int) -> None:
    """As the user wrote it, in compatibility mode and with a beam for each instruction."""
    assert REFERENCE.read_text() == EXAMPLE
    output = bytearray()
    cpu = VirtualCpu(translate(EXAMPLE), sink=output.extend, engine=engine)
    if has_beams:
        beams = [(beam.operation, beam.ip, beam.registers["R3"]) for beam in cpu.steps()]
        names = [line.split()[0] for line in EXAMPLE.splitlines()]
        assert beams == list(zip(names, range(6), [0, 0, 30, 30, 30, 30], strict=True))
    else:
        cpu.run()
    assert output == b"30\n" and cpu.memory(100) == 30
    assert [cpu.registers[name] for name in ("R1", "R2", "R3", "R4")] == [10, 20, 30, 0]
    assert cpu.host.machine.state().digest == golden_digest


def test_compatibility_mode_keeps_no_beams() -> None:
    cpu = VirtualCpu(translate(EXAMPLE), engine="fast")
    cpu.run()
    with pytest.raises(MachineError, match="no beams"):
        cpu.host.machine.drain_beams()


@pytest.mark.parametrize("engine", ["golden", "jit"])
def test_the_command_runs_it_with_beams_and_without(engine: str, tmp_path: Path) -> None:
    path, beams = tmp_path / "program.vcpu", tmp_path / "beams"
    path.write_text(EXAMPLE)
    command = [sys.executable, "-c", "from vac.cli import main; main()", "run", str(path), "--engine", engine, "--json"]
    plain, kept = (
        subprocess.run([*command, *more], capture_output=True, check=False) for more in ([], ["--beams", str(beams)])
    )
    for done in (plain, kept):
        assert (done.returncode, done.stdout) == (0, b"30\n"), done.stderr
    reports = [json.loads(done.stderr) for done in (plain, kept)]
    assert reports[0]["digest"] == reports[1]["digest"]
    assert beams.stat().st_size == BEAM_BYTES * reports[1]["ticks"]


def test_every_instruction_is_a_beam() -> None:
    cpu = VirtualCpu(translate_file(REFERENCE), container_id="c1")
    beams = list(cpu.steps())
    assert [(beam.operation, beam.args, beam.ip) for beam in beams] == [
        ("LOAD", ["R1", "10"], 0),
        ("LOAD", ["R2", "20"], 1),
        ("ADD", ["R3", "R1", "R2"], 2),
        ("STORE", ["R3", "100"], 3),
        ("PRINT", ["R3"], 4),
        ("HALT", [], 5),
    ]
    assert [beam.registers["R3"] for beam in beams] == [0, 0, 30, 30, 30, 30]
    for beam in beams:
        fields = json.loads(beam.model_dump_json())
        assert fields["event"] == "cpu_instruction" and fields["container_id"] == "c1"
        assert CpuInstruction.model_validate(fields) == beam


def test_a_program_of_everything() -> None:
    text = """
        ; factorials by a subroutine, squares in memory, then a countdown
            PRINT "start\\t\\"now\\""
            LOAD r1, 5
            CALL factorial
            PRINT R2
            MOV R3, 0
    fill:   MUL R4, R3, R3          // squares
            STORE R4, [R3+10]
            INC R3
            JLT R3, 4, fill
            LOAD R5, [13]
            PRINT R5
            CMP R5, 9
            JNE wrong
            NEG R5
            SHR R6, R5, 28
            PRINT R5
            PRINT R6
            PUSH R6
            POP R15
            ADD R15, R15            # two operands
            PRINT R15
            LE R7, R5, -9
            PRINT R7
    down:   DEC R15
            JNZ R15, down
            JZ R15, end
    wrong:  PRINT "wrong"
    end:    HALT
    factorial:
            LOAD R2, 1
    again:  BLE R1, 1, done
            MUL R2, R2, R1
            SUB R1, R1, 1
            JMP again
    done:   RET
    """
    cpu, output = run(text)
    assert output == 'start\t"now"\n120\n9\n-9\n15\n30\n1\n'
    assert [cpu.memory(cell) for cell in range(10, 15)] == [0, 1, 4, 9, 0]


def test_jumps_may_name_an_instruction_by_its_number() -> None:
    assert run("JMP 2\nPRINT 1\nPRINT 2\nHALT")[1] == "2\n"


def test_a_program_without_halt_ends_by_itself() -> None:
    assert run("PRINT 7")[1] == "7\n" and run("")[1] == ""
    cpu = VirtualCpu(translate("JMP over\nPRINT 1\nover:"))
    assert [beam.operation for beam in cpu.steps()] == ["JMP"]


@pytest.mark.parametrize("number", [0, -1, 9, 10, 2**31 - 1, -(2**31), 2**32 - 1])
def test_numbers_print_as_they_are(number: int) -> None:
    signed = number if number < 2**31 else number - 2**32
    assert run(f"LOAD R1, {number}\nPRINT R1\nPRINT {number}")[1] == f"{signed}\n" * 2


def test_images_are_verified_where_the_stack_is_known() -> None:
    text = REFERENCE.read_text() + "loop: PUSH R1\nPOP R2\nDEC R1\nCMP R1, 0\nJG loop\nLOAD R1, [R2+1]\n"
    assert verify(translate(text).image).is_verified
    assert not verify(translate("a: PUSH 1\nJMP a").image).is_verified


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("NOP\nDIV R1, R1, R2", "program.vcpu:2: trapped: division by zero"),
        ("LOAD R1, 65536\nLOAD R2, [R1]", "program.vcpu:2: trapped: beyond memory"),
        ("LOAD R1, 0x40000000\nLOAD R2, [R1]", "program.vcpu:2: trapped: beyond memory"),
        ("LOAD R2, [R1-1]", "program.vcpu:1: trapped: beyond memory"),
        ("POP R1", "nothing on the stack"),
        ("RET", "nothing on the stack"),
        ("a: PUSH 1\nJMP a", "too much on the stack"),
        ("a: JMP a", "program.vcpu:1: not at an end after 500 ticks"),
    ],
)
def test_a_program_that_goes_wrong_says_where(text: str, words: str) -> None:
    for has_beams in (False, True):
        cpu = VirtualCpu(translate(text, "program.vcpu"), engine="golden")
        with pytest.raises(VirtualCpuError, match=words if not has_beams else words.partition("after")[0]):
            if has_beams:
                list(cpu.steps(300))
            else:
                cpu.run(500)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("LOAD R1 10", "1:9: error: a comma or the end of the line belongs before '10'|    LOAD R1 10|            ^~"),
        ("LOAD R16, 1", "1:6: error: there is no register R16; there are R0 to R15|    LOAD R16, 1|         ^~~"),
        ("FLY R1", "1:1: error: unknown operation 'FLY'; there are LOAD"),
        ("ADD R1", "1:1: error: ADD takes 2 or 3 operands, not 1"),
        ("RET 1", "1:1: error: RET takes 0 operands, not 1"),
        ("ADD 1, R1, R2", "1:5: error: ADD takes a register here, not 1"),
        ("ADD R1, [5], R2", "1:9: error: ADD takes a register or a number here, not [5]"),
        ("JMP nowhere", "1:5: error: there is no label 'nowhere'"),
        ("JMP 1", "1:5: error: there is no instruction 1; there are 0 to 0"),
        ("STORE R1, 65536", "1:11: error: there is no cell 65536"),
        ("LOAD R1, [65536]", "1:10: error: there is no cell 65536"),
        ("LOAD R1, [R2*4]", "1:13: error: '*' has no meaning here"),
        ("LOAD R1, [R2 R3]", "an address is [100], [R2] or [R2+4]"),
        ("LOAD R1, []", "an address is [100], [R2] or [R2+4]"),
        ("LOAD R1, [5", "an address is [100], [R2] or [R2+4]"),
        ("LOAD R1,", "1:8: error: an operand is missing after this comma"),
        ("LOAD , 1", "1:6: error: an operand is missing before this comma"),
        ("LOAD R1, 4294967296", "does not fit a cell of 32 bits"),
        ("LOAD R1, 012", "012 is no number"),
        ("LOAD R1, 1x", "has no meaning here"),
        ('PRINT "abc', "1:7: error: text without an end"),
        ('PRINT "\\q"', "\\q has no meaning"),
        ("5 R1", "an instruction or a label belongs here"),
        ("R1: NOP", "a register cannot be a label"),
        ("a: NOP\na: NOP", "2:1: error: label 'a' is there already"),
        ("PRINT here", "1:7: error: PRINT takes a register, a number or text here, not here"),
    ],
)
def test_errors_show_their_place(line: str, error: str) -> None:
    with pytest.raises(AssemblyErrors) as caught:
        translate(line, "p")
    assert error.replace("|", "\n") in str(caught.value)


def test_all_errors_are_reported_at_once() -> None:
    with pytest.raises(AssemblyErrors, match="3 errors"):
        translate("ADD 1, 2\nJMP x\nFLY")


def test_operands_as_text_read_back() -> None:
    texts = ["R1", "-5", "[7]", "[R3]", "[R3+4]", "[R3-4]", '"a\\"\\n\\\\"']
    for text in texts:
        (instruction,) = parse(f"X {text}").instructions
        assert str(instruction.operands[0]) == text
    assert parse("X [R3 + -4]").instructions[0].operands == (Address(Register(3), -4),)
    assert parse('X "#;//"  # comment').instructions[0].operands == (Text("#;//"),)


# ---- against the interpreter -------------------------------------------------------------------------------------

REGISTER = st.sampled_from(["R0", "R1", "R2", "R14", "R15"])
NUMBER = st.sampled_from(
    ["0", "1", "-1", "2", "3", "7", "31", "-2147483648", "2147483647", "0xFFFFFFFF", "65535", "100"]
)
CHOICES = {
    "register": REGISTER,
    "register or number": REGISTER | NUMBER,
    "address in brackets": st.one_of(
        REGISTER.map("[{}]".format), st.sampled_from(["[0]", "[65535]", "[R1+3]", "[R15-1]", "[R0+65535]"])
    ),
    "place": st.sampled_from(["5", "65535", "[R1]", "[R2+1]", "[9]"]),
    "text": st.sampled_from(['"x"', '"é\\n"', "R1", "R15", "-3"]),
}
LENGTH = 14
KIND_CHOICES = {
    "label": st.integers(0, LENGTH - 1).map("at{}".format),
    "register": CHOICES["register"],
    "value": CHOICES["register or number"],
    "address": CHOICES["address in brackets"],
    "place": CHOICES["place"],
    "printable": CHOICES["text"],
}
LINES = st.one_of([
    st.tuples(*[KIND_CHOICES[kind] for kind in form.operands]).map(
        lambda operands, name=name: f"{name} " + ", ".join(operands)
    )
    for name, forms in OPERATIONS.items()
    for form in forms
    if name not in ("HALT", "RET")
])  # fmt: skip
PROGRAMS = st.lists(LINES, min_size=LENGTH, max_size=LENGTH)
SEEDS = st.lists(NUMBER, min_size=5, max_size=5)


@settings(max_examples=200)
@given(PROGRAMS, SEEDS, st.booleans())
def test_the_machine_does_as_the_interpreter(lines: list[str], seeds: list[str], has_return: bool) -> None:
    registers = ["R0", "R1", "R2", "R14", "R15"]
    start = [f"LOAD {register}, {seed}" for register, seed in zip(registers, seeds, strict=True)]
    text = "\n".join([*start, *(f"at{n}: {line}" for n, line in enumerate(lines)), "RET" if has_return else "HALT"])
    translation = translate(text)
    interpreter, output = Interpreter(translation.program), bytearray()
    cpu = VirtualCpu(translation, sink=output.extend, engine="golden")
    trapped = False
    steps = cpu.steps(60)
    for _ in range(60):
        if interpreter.is_halted:
            break
        name = translation.program.instructions[interpreter.ip].operation
        if name == "RET" and (not interpreter.stack or "PUSH" in text):
            return  # what PUSH put there is no place to return to, which the interpreter does not know
        if name == "POP" and "CALL" in text:
            return  # nor does it know the machine's return numbers
        try:
            interpreter.step()
        except Trapped as reason:
            if "too much" in str(reason):
                return
            trapped = True
            break
        beam = next(steps)
        assert list(beam.registers.values()) == interpreter.registers, (beam, text)
    if trapped:
        with pytest.raises(VirtualCpuError, match="trapped"):
            next(steps)
    elif interpreter.is_halted:
        with pytest.raises(StopIteration):
            next(steps)
        straight = VirtualCpu(translation, engine="fast")
        straight.run(100_000)
        assert list(straight.registers.values()) == interpreter.registers
    assert output.decode() == interpreter.output
    for cell, value in interpreter.memory.items():
        assert cpu.memory(cell) == value
