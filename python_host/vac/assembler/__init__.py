"""The assembler and the disassembler of the machine's own assembly language."""
