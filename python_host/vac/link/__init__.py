"""Host side of the link to a board."""
