"""The one statement of the machine: everything else is derived from this package or checked against it."""
