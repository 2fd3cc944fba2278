"""VirtualCPU programs: a register machine's assembly, translated to bytecode."""
