"""Bytecode to machine code through LLVM: loops and the functions that they call, exact to the tick."""
