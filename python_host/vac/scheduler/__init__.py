"""Many virtual machines on few engines: fair slices, quotas, admission under memory pressure, accounts."""
