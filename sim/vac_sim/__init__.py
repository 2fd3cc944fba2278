"""What runs the QPU's RTL: the Verilated engine, cocotb benches and waveforms."""
