"""What can be started: an image, a package, or a source that becomes an image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..assembler.assemble import assemble
from ..assembler.diagnostics import AssemblyErrors
from ..image.image import Image, ImageError
from .errors import InvalidImage

if TYPE_CHECKING:
    from ..package.package import Package

_PACKAGE_SUFFIXES = (".vac", ".vac.json")
_SOURCE_SUFFIXES = (".vasm", ".vcpu")


@dataclass(frozen=True)
class VacImage:
    """image: what a machine starts from. package: where it came with capabilities, devices, quotas and a policy."""

    image: Image
    package: Package | None = None

    @property
    def name(self) -> str:
        return self.package.manifest.name if self.package else self.image.name

    @staticmethod
    def load(path: Path | str) -> VacImage:
        """A `.vacimg`, a package (`.vac`, `.vac.json` or its folder), assembly (`.vasm`) or a VirtualCPU program
        (`.vcpu`). Everything in a package but its signatures is checked. Raises InvalidImage, naming the file."""
        path = Path(path)
        try:
            if path.name.endswith(_PACKAGE_SUFFIXES) or path.is_dir():
                from ..package.package import Package

                package = Package.open(path)
                return VacImage(package.image, package)
            if path.suffix in _SOURCE_SUFFIXES:
                return VacImage.from_source(path.read_text(encoding="utf-8"), str(path))
            from ..package.image_source import load_image

            return VacImage(load_image(path))
        except OSError as error:
            raise InvalidImage(f"cannot read {str(path)!r}: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise InvalidImage(f"{str(path)!r} is no text in UTF-8") from error
        except ImageError as error:
            raise InvalidImage(str(error)) from error
        except Exception as error:
            from ..package.errors import PackageError

            if isinstance(error, PackageError):
                raise InvalidImage(str(error)) from error
            raise

    @staticmethod
    def from_source(text: str, name: str = "<source>") -> VacImage:
        """Assembly, or a VirtualCPU program where the name ends in `.vcpu`. Raises InvalidImage with every error."""
        try:
            if name.endswith(".vcpu"):
                from ..virtual_cpu.translation import translate

                return VacImage(translate(text, name).image)
            return VacImage(assemble(text, name))
        except AssemblyErrors as error:
            raise InvalidImage(str(error)) from error
