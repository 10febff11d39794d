"""Sweeps: what is written becomes replicas, and what can't is refused."""

import pytest

from research.errors import UserError
from research.population.members import members
from research.population.options import Population, parse_sweep
from tests.runs import experiment


def test_a_range_has_its_bounds_and_even_steps():
    (log,) = parse_sweep("optimizer.learning_rate=log(1e-4, 1e-1, 4)")
    assert log == ("optimizer.learning_rate", (1e-4, 1e-3, 1e-2, 1e-1))
    (lin,) = parse_sweep("config.optimizer.b1=lin(0.8,0.9,3)")
    assert lin.path == "optimizer.b1" and lin.values == pytest.approx((0.8, 0.85, 0.9))


def test_all_combinations_have_all_seeds():
    population = Population(seeds=2, sweep="optimizer.b1=0.8,0.9; optimizer.eps=1e-8,1e-6,1e-4")
    assert population.size == 12 and len(population.points()) == 6
    assert population.points()[1] == {"optimizer.b1": 0.8, "optimizer.eps": 1e-6}


def test_replicas_are_experiments_that_differ_in_seed_and_swept_values_alone():
    chosen = experiment(
        "--config.seed=5", "--config.population.seeds=2", "--sweep=optimizer.learning_rate=0.1,0.2"
    )
    alone = experiment("--config.seed=6", "--config.optimizer.learning_rate=0.1")
    found = members(chosen)
    assert found[1] == alone and len(found) == 4
    assert [each.seed for each in found] == [5, 6, 5, 6]
    assert [each.optimizer.learning_rate for each in found] == [0.1, 0.1, 0.2, 0.2]


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ("optimizer.learning_rate", "gives no FIELD=VALUES"),
        ("optimizer.learning_rate=fast", "is none of"),
        ("optimizer.learning_rate=log(0,1,3)", "bounds of log must be positive"),
        ("optimizer.learning_rate=log(1,2,1)", "at least 2 values"),
        ("optimizer.eps=1,2;optimizer.eps=3", "twice"),
    ],
)
def test_what_is_no_sweep_is_refused(sweep, message):
    with pytest.raises(UserError, match=message):
        parse_sweep(sweep)


def test_a_field_that_is_none_and_a_value_that_is_not_allowed_are_refused():
    with pytest.raises(UserError, match="no field that holds a number"):
        members(experiment("--sweep=model.width=1,2"))
    with pytest.raises(UserError, match="optimizer.b1: must lie in"):
        members(experiment("--sweep=optimizer.b1=0.5,1.5"))


@pytest.mark.parametrize(
    "other",
    ["--config.evaluation.patience=2", "--config.evaluation.test_checkpoint=best"],
)
def test_what_goes_with_no_population_is_refused(other):
    with pytest.raises(UserError, match="goes with no population"):
        experiment("--config.population.seeds=2", other)
