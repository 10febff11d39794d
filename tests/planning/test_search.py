"""Searching the largest batch that fits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from research.planning import search
from research.planning.compiler import DoesNotFit

AVAILABLE = 16e9


class Compiler:
    """Programs whose memory grows with their size, as those of a network do."""

    def __init__(self, fixed: float, growth: float, power: float = 1.0, says: bool = True):
        self.fixed, self.growth, self.power, self.says = fixed, growth, power, says
        self.tried: list[int] = []

    def __call__(self, size: int) -> float:
        self.tried.append(size)
        needed = self.fixed + self.growth * size**self.power
        if needed > AVAILABLE:
            error = DoesNotFit("out of memory")
            error.required = needed if self.says else None
            raise error
        return needed

    def search(self, start: int, limit: int = 2**40) -> search.Found:
        return search.largest(self, AVAILABLE, 0.9 * self.fixed, start, limit)


compilers = st.builds(
    Compiler,
    fixed=st.floats(0, 1.5e10),
    growth=st.floats(1e3, 1e8),
    power=st.floats(0.8, 1.2),
    says=st.booleans(),
)


@given(compilers, st.integers(1, 2**20))
def test_what_is_found_was_compiled_and_a_16th_more_was_refused(compiler, start):
    found = compiler.search(start)
    assert found.fits in compiler.tried
    assert found.does_not_fit in compiler.tried
    assert found.fits < found.does_not_fit <= found.fits + max(1, found.fits / 16)


@given(compilers, st.integers(1, 2**20))
def test_no_size_is_compiled_twice(compiler, start):
    found = compiler.search(start)
    assert len(set(compiler.tried)) == len(compiler.tried) == found.compilations


@pytest.mark.parametrize("start", [1, 16, 4096, 10**6])
def test_few_compilations_are_enough_where_memory_grows_linearly(start):
    assert Compiler(fixed=1e8, growth=1e6).search(start).compilations <= 6


def test_the_limit_is_tried_first_where_it_should_fit():
    compiler = Compiler(fixed=1e8, growth=1e5)
    found = compiler.search(start=128, limit=6750)
    assert found == search.Found(fits=6750, does_not_fit=None, compilations=2)
    assert compiler.tried == [128, 6750]


def test_where_not_even_one_fits_none_is_found():
    found = Compiler(fixed=AVAILABLE, growth=1e6).search(start=256)
    assert (found.fits, found.does_not_fit) == (0, 1)


def test_large_sizes_are_multiples_of_powers_of_two():
    found = Compiler(fixed=1e9, growth=1e6).search(start=100)
    assert found.fits % 512 == 0
