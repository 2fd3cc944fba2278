"""Versioned shapes of what parts of the project hand to each other: validated where they are read, documented from the
same source (`python -m vac.contracts`)."""
