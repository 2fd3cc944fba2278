"""What goes wrong with checkpoints and what holds them."""


class CheckpointError(Exception):
    """A checkpoint is damaged, of another version, or does not fit what it is used with."""


class StoreError(CheckpointError):
    """The leaf store cannot be read or written, or an object in it is missing or damaged."""
