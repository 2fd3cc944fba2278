"""The core under cocotb: a test bench whose cycles run in C and whose tests are in Python."""
