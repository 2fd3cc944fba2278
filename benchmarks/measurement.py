"""What one subject's benchmark consists of: as a command of its own, and as a part of `make bench`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.results import RESULTS_FOLDER, Result, write_results


@dataclass(frozen=True)
class Measurement:
    """name: of the module in `benchmarks`, and of the file of records. quick: what `--quick` leaves out.

    measure: records, given whether it has to be quick and the command that they name. show: prints them.
    failures: what `measure` raises where it cannot go on, with a message for the user.
    """

    name: str
    description: str | None
    quick: str
    measure: Callable[[bool, str], list[Result]]
    show: Callable[[Sequence[Result]], None]
    failures: tuple[type[Exception], ...] = ()

    @property
    def command(self) -> str:
        return f"python -m benchmarks.{self.name}"

    def keep(self, results: Sequence[Result]) -> None:
        """Replaces the file of records."""
        path = RESULTS_FOLDER / f"{self.name}.json"
        write_results(path, results)
        print(f"written: benchmarks/results/{path.name}", file=sys.stderr)

    def main(self, arguments: list[str] | None = None) -> int:
        """Measures, prints and keeps. Exit status: 0, or 1 with one message on standard error."""
        parser = argparse.ArgumentParser(prog=self.command, description=self.description)
        parser.add_argument("--quick", action="store_true", help=f"{self.quick}; writes no file")
        given = sys.argv[1:] if arguments is None else arguments
        options = parser.parse_args(given)
        try:
            results = self.measure(options.quick, " ".join([self.command, *given]))
        except self.failures as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        self.show(results)
        if not options.quick:
            self.keep(results)
        return 0
