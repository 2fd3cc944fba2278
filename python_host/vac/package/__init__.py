"""Packages: a manifest, the image that it starts from, and who vouches for both."""

from .package import Package

__all__ = ["Package"]
