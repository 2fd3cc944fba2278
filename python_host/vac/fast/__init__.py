"""The fast engine: an interpreter in C, its instruction handlers generated from the instruction table."""
