"""The core that a configuration names."""

from .compact.core import CompactCore
from .config import CoreConfig
from .core import Core


def create_core(config: CoreConfig) -> Core | CompactCore:
    """Both have the same ports."""
    return CompactCore(config) if config.core == "compact" else Core(config)
