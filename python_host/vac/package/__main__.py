"""`python -m vac.package`: renews the table in docs/packages.md and the JSON Schema, in a checkout of the project."""

from __future__ import annotations

import argparse
from pathlib import Path

from .manifest_documentation import schema_text, with_table

SCHEMA = Path(__file__).parent / "manifest.schema.json"
PAGE = Path(__file__).resolve().parents[3] / "docs" / "packages.md"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m vac.package", description=__doc__)
    parser.add_argument("--page", type=Path, default=PAGE, help="the page whose table is renewed")
    parser.add_argument("--schema", type=Path, default=SCHEMA, help="where the schema goes")
    options = parser.parse_args()
    options.schema.write_text(schema_text(), encoding="utf-8")
    options.page.write_text(with_table(options.page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
