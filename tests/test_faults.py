"""The faults of `python -m tests.faults`, each tried a few times."""

import pytest

from tests.faults import damage, disks, feeds, fuzz, pods, stops, storm, writers

SHORT = {
    "kills": lambda path: storm.kill_storm(2, path),
    "kills, saves waited for": lambda path: storm.kill_storm(2, path, waits=True),
    "SIGTERM": lambda path: stops.sigterm_matrix(path, phases=("import", "commit")),
    "SIGTERM to one of two": lambda path: pods.sigterm_of_one(path, phases=("save",)),
    "missing process": lambda path: pods.missing_process(path, ways=("killed",)),
    "failing process": lambda path: pods.failing_process(path, whose=(1,)),
    "other reasons to stop": lambda path: stops.other_reasons(path, reasons=("SIGINT twice",)),
    "damaged checkpoints": damage.damaged_files,
    "disks": lambda path: disks.failing_disks(path, sizes=("200k",)),
    "feeds": feeds.failing_feeds,
    "writers": writers.two_writers,
    "overrides": lambda path: fuzz.fuzzed_overrides(200, path),
    "experiment.json": lambda path: fuzz.fuzzed_experiments(200, path),
    "images": lambda path: fuzz.fuzzed_images(100, path),
    "array_record": lambda path: fuzz.fuzzed_records(20, path),
}


@pytest.mark.parametrize("kind", SHORT)
def test_no_fault_ends_wrong(kind, tmp_path):
    table = SHORT[kind](tmp_path)
    assert table.wrong == []
    assert sum(table.outcomes.values()) > 0
