"""Pairs in records, typed part by part; and the warnings of records."""

import dataclasses

import pytest

from research.errors import UserError
from research.records import Record, check, record, warnings


@record
class Recipe(Record):
    """Ingredients and how much of each."""

    ingredients: tuple[tuple[str, float], ...] = ()
    portions: int = 4

    def warnings(self, path):
        return [f"{path}.ingredients: nothing to eat"] if not self.ingredients else []


@record
class Meal(Record):
    first: Recipe = dataclasses.field(default_factory=Recipe)
    second: Recipe = dataclasses.field(default_factory=lambda: Recipe(ingredients=(("rice", 1.0),)))
    last: Recipe = dataclasses.field(default_factory=Recipe)


def refusal(ingredients):
    with pytest.raises(UserError) as error:
        check(Recipe(ingredients=ingredients))
    return str(error.value)


def test_pairs_are_typed_part_by_part():
    recipe = Recipe(ingredients=[["flour", 1], ("milk", 0.5)])
    check(recipe)
    assert recipe.ingredients == (("flour", 1.0), ("milk", 0.5))


def test_something_else_is_answered_with_an_example():
    assert refusal("flour") == (
        "config.ingredients: takes a tuple of pairs of texts and numbers such as (('a', 0.5),), "
        "not 'flour'"
    )


@pytest.mark.parametrize("pair", [("flour",), ("flour", 1, 2), "ab", 3])
def test_pair_of_another_length_is_named_with_its_place(pair):
    assert refusal((("milk", 1), pair)).startswith(
        "config.ingredients[1]: takes a pair of texts and numbers such as ('a', 0.5), not"
    )


def test_ill_typed_part_of_a_pair_is_named_with_its_place():
    assert refusal((("milk", 1), (2, 3))) == "config.ingredients[1][0]: takes text, not 2"
    assert refusal((("milk", "much"),)) == "config.ingredients[0][1]: takes a number, not 'much'"


def test_warnings_of_all_records_are_gathered_with_their_paths():
    assert warnings(Meal(), "config.meal") == [
        "config.meal.first.ingredients: nothing to eat",
        "config.meal.last.ingredients: nothing to eat",
    ]
