"""What can be wrong with a package. The message says which file, what in it, and what to do."""

from __future__ import annotations

from ..image.image import ImageError


class PackageError(Exception):
    """A package that cannot be used as it is."""


class ManifestError(PackageError):
    """The manifest is damaged, of another version, or says something that no package can."""


class ImageFileError(PackageError, ImageError):
    """An image file in its page-table form is damaged or truncated, or no machine could be loaded from it."""


class ParentError(ImageFileError):
    """The parent of an image is missing or is another one. expected, found: roots, 32 bytes; found is None where no
    candidate was there."""

    def __init__(self, message: str, expected: bytes, found: bytes | None = None) -> None:
        super().__init__(message)
        self.expected = expected
        self.found = found


class ArchiveError(PackageError):
    """A package in one file is damaged or truncated, or names members that it must not."""


class SignatureError(PackageError):
    """A signature is wrong, belongs to another package, or nobody trusted has signed."""


class GrantError(PackageError):
    """The manifest asks for a capability, device or seed that this host does not have."""
