"""Numbers as people read them."""

import pytest

from research.planning import units


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (1023, "1,023 B"), (1024, "1 KiB"), (1.5 * 2**20, "1.5 MiB"),
     (15.75 * 2**30, "15.8 GiB"), (2**50, "1,024 TiB"), (None, "–")],
)  # fmt: skip
def test_sizes(value, text):
    assert units.size(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (3e-9, "3 ns"), (1.5e-6, "1.5 µs"), (0.25, "250 ms"), (59, "59 s"), (90, "1.5 min"),
     (7200, "2 h"), (3 * 86400, "3 days"), (None, "–")],
)  # fmt: skip
def test_times(value, text):
    assert units.time(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.000123, "0.012%"), (0.1234, "12.3%"), (1.0, "100%"), (None, "–")]
)
def test_shares(value, text):
    assert units.share(value) == text


@pytest.mark.parametrize(("value", "text"), [(1.5e9, "1.5 GFLOP"), (2e15, "2 PFLOP"), (None, "–")])
def test_flops(value, text):
    assert units.flops(value) == text


def test_counts():
    assert units.count(1234567) == "1,234,567"
