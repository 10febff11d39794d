"""Learning-rate schedules against their formulas, at every update of a run."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.optimizers.schedules import (
    SCHEDULES,
    Constant,
    InverseSqrt,
    OneCycle,
    Step,
    WarmupCosine,
)

PEAK, UPDATES = 0.5, 40


def values(schedule, updates=UPDATES):
    """Learning rates after 0, 1, …, `updates` updates."""
    function = schedule.function(PEAK, updates)
    return np.asarray(jax.vmap(lambda count: jnp.asarray(function(count)))(jnp.arange(updates + 1)))


def cosine(start, end, share):
    """From `start` to `end` along half a cosine, as `share` goes from 0 to 1."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def constant(count):
    return PEAK


def warmup_cosine(count):
    """Loshchilov & Hutter 2017 (arXiv:1608.03983), equation 5, after 8 updates of warmup."""
    return PEAK * count / 8 if count < 8 else cosine(PEAK, 0.1 * PEAK, (count - 8) / 32)


def step(count):
    return PEAK * 0.2 ** ((count >= 10) + (count >= 30))


def inverse_sqrt(count):
    """Vaswani et al. 2017 (arXiv:1706.03762), equation 3, with 8 updates of warmup."""
    updates = count + 1
    return PEAK * 8**0.5 * min(updates**-0.5, updates * 8**-1.5)


def one_cycle(count):
    """Smith & Topin 2018 (arXiv:1708.07120), along cosines."""
    if count < 12:
        return cosine(0.1 * PEAK, PEAK, count / 12)
    return cosine(PEAK, 0.1 * 0.01 * PEAK, (count - 12) / 28)


CASES = {
    "constant": (Constant(), constant),
    "warmup_cosine": (WarmupCosine(warmup_fraction=0.2, end_factor=0.1), warmup_cosine),
    "step": (Step(factor=0.2, boundaries=(0.25, 0.75)), step),
    "inverse_sqrt": (InverseSqrt(warmup_fraction=0.2), inverse_sqrt),
    "one_cycle": (OneCycle(warmup_fraction=0.3, start_factor=0.1, end_factor=0.01), one_cycle),
}


def test_every_schedule_has_a_formula_here():
    assert set(CASES) == set(SCHEDULES)


@pytest.mark.parametrize("name", CASES)
def test_schedule_equals_its_formula_at_every_update(name):
    schedule, formula = CASES[name]
    expected = [formula(count) for count in range(UPDATES + 1)]
    np.testing.assert_allclose(values(schedule), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("schedule", "start", "peak_at", "end"),
    [
        (Constant(), PEAK, 0, PEAK),
        (WarmupCosine(), 0.0, 2, 0.0),
        (WarmupCosine(warmup_fraction=0.0), PEAK, 0, 0.0),
        (Step(), PEAK, 0, 0.01 * PEAK),
        (InverseSqrt(), PEAK, 0, PEAK / 41**0.5),
        (InverseSqrt(warmup_fraction=0.1), PEAK / 4, 3, PEAK * (4 / 41) ** 0.5),
        (OneCycle(), 0.04 * PEAK, 12, 0.04 * 1e-4 * PEAK),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_schedule_starts_peaks_and_ends_where_its_options_say(schedule, start, peak_at, end):
    found = values(schedule)
    assert found[0] == pytest.approx(start, rel=1e-5)
    assert (found[peak_at], found.argmax()) == (PEAK, peak_at)
    assert found[-1] == pytest.approx(end, rel=1e-4, abs=1e-8)


SHORT = [
    InverseSqrt(),
    InverseSqrt(warmup_fraction=0.9),
    WarmupCosine(),
    WarmupCosine(warmup_fraction=0.9),
    Step(),
    OneCycle(),
]


@pytest.mark.parametrize("updates", [1, 2, 4])
@pytest.mark.parametrize("schedule", SHORT, ids=lambda schedule: schedule.name)
def test_schedule_of_a_short_run_stays_between_zero_and_the_peak(schedule, updates):
    found = values(schedule, updates)
    assert np.isfinite(found).all()
    assert ((found >= 0) & (found <= PEAK * (1 + 1e-6))).all()
    assert found.max() > 0


def test_shares_that_fall_on_one_update_multiply():
    found = values(Step(factor=0.1, boundaries=(0.45, 0.5, 0.55)), updates=2)
    np.testing.assert_allclose(found, [PEAK, 1e-3 * PEAK, 1e-3 * PEAK], rtol=1e-5)
