"""`python -m vac.contracts`: writes docs/contracts.md and the JSON Schemas, in a checkout of the project."""

from __future__ import annotations

import argparse
from pathlib import Path

from .documentation import page, schema_name, schema_text
from .reader import CONTRACTS

SCHEMAS = Path(__file__).parent / "schemas"
PAGE = Path(__file__).resolve().parents[3] / "docs" / "contracts.md"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m vac.contracts", description=__doc__)
    parser.add_argument("--page", type=Path, default=PAGE, help="where the page goes")
    parser.add_argument("--schemas", type=Path, default=SCHEMAS, help="folder that the schemas go to")
    options = parser.parse_args()
    options.schemas.mkdir(parents=True, exist_ok=True)
    for contract in CONTRACTS:
        (options.schemas / schema_name(contract)).write_text(schema_text(contract), encoding="utf-8")
    options.page.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
