"""Tries all faults and prints one line of outcomes for each kind."""

import argparse
import os
import pathlib
import sys
import tempfile
import time


def main() -> int:
    """Returns 1 if anything went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100, help="kills of the kill storm")
    parser.add_argument("--cases", type=int, default=1000, help="cases of each kind of fuzzing")
    parser.add_argument("--only", default="", help="names of functions, separated by commas")
    options = parser.parse_args()
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    from tests.faults import damage, disks, fuzz, stops, storm, writers

    kinds = {
        "kill_storm": lambda path: storm.kill_storm(options.rounds, path),
        "sigterm_matrix": stops.sigterm_matrix,
        "damaged_files": damage.damaged_files,
        "failing_disks": disks.failing_disks,
        "two_writers": writers.two_writers,
        "fuzzed_overrides": lambda path: fuzz.fuzzed_overrides(options.cases, path),
        "fuzzed_experiments": lambda path: fuzz.fuzzed_experiments(options.cases, path),
        "fuzzed_images": lambda path: fuzz.fuzzed_images(options.cases, path),
        "fuzzed_records": lambda path: fuzz.fuzzed_records(options.cases // 10, path),
    }
    wrong = 0
    for name, kind in kinds.items():
        if options.only and name not in options.only.split(","):
            continue
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            table = kind(pathlib.Path(folder))
            print(f"{table} ({time.perf_counter() - start:.0f} s)", flush=True)
            wrong += len(table.wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
