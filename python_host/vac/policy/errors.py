"""What is wrong with a policy."""


class PolicyError(Exception):
    """The text is no Cedar, speaks of something that does not exist here, or cannot be compiled."""
