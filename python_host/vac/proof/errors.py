"""What goes wrong with proofs."""


class ProofError(Exception):
    """The proof does not hold, is damaged or is of another version; the message says which part of it."""
