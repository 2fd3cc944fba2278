"""The golden model: the definition of the machine, written to be read."""
