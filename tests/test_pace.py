"""Pace: how many steps the devices may make on their own follows what they have made."""

import pytest

from research import pace


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes only when it is told to."""
    now = [100.0]
    monkeypatch.setattr(pace.time, "perf_counter", lambda: now[0])
    return now


def make(measured, clock, steps, seconds_each):
    clock[0] += steps * seconds_each
    measured.made(steps)


def test_fast_steps_are_soon_as_many_as_fill_the_time(clock):
    measured = pace.Pace(8)
    groups = []
    for _ in range(12):
        groups.append(measured.steps_within(0.2))
        make(measured, clock, groups[-1], 5e-5)
    assert groups[0] == 1 and groups[:8] == sorted(groups[:8])
    assert groups[-1] == pytest.approx(0.2 / 5e-5, rel=0.01)


def test_steps_that_become_slow_are_fewer_at_once(clock):
    measured = pace.Pace(8)
    for _ in range(12):
        make(measured, clock, measured.steps_within(0.2), 5e-5)
    make(measured, clock, 100, 0.01)
    assert measured.steps_within(0.2) == 20


def test_a_step_that_takes_longer_than_that_is_made_alone(clock):
    measured = pace.Pace(8)
    make(measured, clock, 1, 3.0)
    assert measured.steps_within(0.2) == 1


def test_what_happens_in_a_pause_is_no_step(clock):
    measured = pace.Pace(8)
    make(measured, clock, 4, 0.01)
    for _ in range(8):
        with measured.pause():
            clock[0] += 60
        make(measured, clock, 4, 0.01)
    assert measured.steps_within(0.2) == 20
