"""The QPU: the Virtual Atom Computer's core in Amaranth. Imports `vac.isa` and nothing else of the host."""
