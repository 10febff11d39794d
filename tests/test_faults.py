"""The faults of `python -m tests.faults`, each tried a few times."""

import logging

import pytest

from tests.faults import damage, disks, fuzz, stops, storm, writers

SHORT = {
    "kill storm": lambda path: storm.kill_storm(3, path),
    "SIGTERM while importing, evaluating and committing": lambda path: stops.sigterm_matrix(
        path, phases=("import", "eval", "commit")
    ),
    "damaged checkpoint files": damage.damaged_files,
    "failing disks": disks.failing_disks,
    "two writers": writers.two_writers,
    "overrides": lambda path: fuzz.fuzzed_overrides(300, path),
    "experiment.json": lambda path: fuzz.fuzzed_experiments(200, path),
    "images": lambda path: fuzz.fuzzed_images(100, path),
    "array_record": lambda path: fuzz.fuzzed_records(20, path),
}


@pytest.mark.parametrize("kind", SHORT)
def test_no_fault_ends_wrong(kind, tmp_path):
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    table = SHORT[kind](tmp_path)
    assert table.wrong == []
    assert sum(table.outcomes.values()) > 0
