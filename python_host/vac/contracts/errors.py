"""What can be wrong with a contract that is read."""

from __future__ import annotations


class ContractError(Exception):
    """Something that was read is no contract, or breaks one."""


class ContractUnknown(ContractError):
    """The fields are those of no contract."""


class ContractInvalid(ContractError):
    """A field is missing, unknown, or not what the contract allows. Names the contract and each field."""


class ContractVersionError(ContractError):
    """The version is none that this reader knows. `version` is what stood there, `newest` the newest known."""

    def __init__(self, name: str, version: object, newest: int) -> None:
        super().__init__(
            f"{name} of version {version!r}: this reader knows versions 1 to {newest}; update vac, or have the "
            "writer write an older version"
        )
        self.version = version
        self.newest = newest
