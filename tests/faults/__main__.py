"""Tries all faults; prints a table in Markdown, one row for each kind."""

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
    import logging

    from tests.faults import damage, disks, feeds, fuzz, nonfinite, pods, stops, storm, writers

    logging.getLogger().setLevel(logging.CRITICAL)
    rounds, cases = options.rounds, options.cases
    kinds = {
        "kill_storm": lambda path: storm.kill_storm(rounds, path),
        "kill_storm_waiting": lambda path: storm.kill_storm(rounds, path, waits=True),
        "sigterm_matrix": stops.sigterm_matrix,
        "sigterm_of_one": pods.sigterm_of_one,
        "missing_process": pods.missing_process,
        "failing_process": pods.failing_process,
        "other_reasons": stops.other_reasons,
        "damaged_files": damage.damaged_files,
        "failing_disks": disks.failing_disks,
        "failing_feeds": feeds.failing_feeds,
        "two_writers": writers.two_writers,
        "nan_at_a_step": lambda path: nonfinite.nan_at_a_step(max(1, rounds // 10), path),
        "fuzzed_overrides": lambda path: fuzz.fuzzed_overrides(cases, path),
        "fuzzed_experiments": lambda path: fuzz.fuzzed_experiments(cases, path),
        "fuzzed_images": lambda path: fuzz.fuzzed_images(cases, path),
        "fuzzed_records": lambda path: fuzz.fuzzed_records(cases, path),
    }
    wrong = []
    print("| fault | cases | outcomes | wrong | measured | seconds |")
    print("|---|---|---|---|---|---|")
    for name, kind in kinds.items():
        if options.only and name not in options.only.split(","):
            continue
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            table = kind(pathlib.Path(folder))
            print(f"{table} {time.perf_counter() - start:.0f} |", flush=True)
        wrong += [f"{name}: {line}" for line in table.wrong]
    print("\n".join(wrong), file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
