"""The compact core: the QPU as a microprogrammed machine, for devices with few logic cells."""
