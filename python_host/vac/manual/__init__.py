"""The instruction-set manual, written from the table: `python -m vac.manual > docs/isa.md`."""
