"""Random programs over the whole instruction set: long, always terminating, from a seed; and made small again."""
