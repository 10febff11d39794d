"""Plans are made in a process of their own, whose end ends no other."""

import pytest

from research.data.summary import Summary
from research.errors import UserError
from research.models.cnn import Cnn
from research.planning import apart, compiler
from research.planning.options import Options
from research.planning.topologies import parse_topologies
from tests import tiny

needs_libtpu = pytest.mark.skipif(
    not compiler.is_installed(), reason="needs libtpu: pip install -e '.[plan]'"
)
DATA = Summary((4, 4, 1), 3, train=100, validation=10, test=10)


def planned(experiment=None, data=DATA):
    topologies = parse_topologies("v5e:1x1")
    options = Options(search_batch=False)
    return apart.make_plan(experiment or tiny.experiment(), data, topologies, options, print)


@pytest.mark.parametrize("end", ["abort()", "_exit(7)"])
def test_a_compiler_that_ends_its_process_is_an_error_with_its_code(end, monkeypatch):
    monkeypatch.setattr(apart, "_COMMAND", f"import os; os.{end}")
    with pytest.raises(UserError, match=r"ended its process \(exit code (-6|7)\)"):
        planned()


@needs_libtpu
def test_what_a_person_can_mend_is_said_as_it_is():
    deep = tiny.experiment(model=Cnn(stages=((4,), (4,), (4,))))
    with pytest.raises(UserError, match="images of 4×4 pixels are too small"):
        planned(deep)


@needs_libtpu
def test_a_crash_comes_with_its_stack():
    with pytest.raises(RuntimeError, match=r"while planning:\nTraceback(.|\n)*planner.py"):
        planned(data=None)
