"""GDB's remote serial protocol: any client that speaks it can debug a run, backwards too."""
