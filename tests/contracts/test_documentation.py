"""The page and the schemas are those that the models make."""

from pathlib import Path

import pytest

from vac.contracts.__main__ import PAGE, SCHEMAS
from vac.contracts.contract import Contract
from vac.contracts.documentation import page, schema, schema_name, schema_text
from vac.contracts.migration import known_steps
from vac.contracts.reader import CONTRACTS


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m vac.contracts"


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.NAME)
def test_the_schema_is_up_to_date(contract: type[Contract]) -> None:
    path = SCHEMAS / schema_name(contract)
    assert path.read_text(encoding="utf-8") == schema_text(contract), "run: python -m vac.contracts"
    assert schema(contract)["properties"]["version"]["const"] == contract.VERSION


def test_there_is_no_other_schema() -> None:
    assert {path.name for path in Path(SCHEMAS).iterdir()} == {schema_name(contract) for contract in CONTRACTS}


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.NAME)
def test_every_older_version_has_its_step(contract: type[Contract]) -> None:
    assert known_steps(contract) == list(range(1, contract.VERSION))
