"""`python -m launch.plan` says what an experiment does on slices that aren't there."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from launch import cli, plan
from research.planning import compiler, report_json
from research.planning.chips import CHIPS

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]

needs_libtpu = pytest.mark.skipif(
    not compiler.is_installed(), reason="needs libtpu: pip install -e '.[plan]'"
)
LARGE_IMAGES = ("--data_shape=256,256,3", "--data_classes=10", "--data_examples=900000,9,9")


def run(capsys, *argv):
    code = cli.guarded(plan.main, list(argv))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def planned(path, *argv) -> dict:
    """Plans without printing; returns the JSON."""
    assert cli.guarded(plan.main, [f"--json={path}", *argv]) == cli.SUCCESS
    return json.loads(path.read_text())


def bytes_along(step: dict, kind: str, *axes: str) -> float:
    """Bytes of the collectives of a kind along the axes."""
    return sum(
        m["bytes"] for m in step["messages"] if m["kind"] == kind and m["axes"] == list(axes)
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("plan")


@pytest.fixture(scope="module")
def data_parallel(folder):
    """The default experiment, 32 examples a device on 8 and on 256 chips."""
    return planned(
        folder / "dp.json",
        "--topology=v5e:2x4,v5e:16x16",
        "--per_device_batch_size=32",
        "--nosearch_batch",
        f"--html={folder / 'dp.html'}",
    )


@pytest.fixture(scope="module")
def small(data_parallel):
    return data_parallel["slices"][0]


@pytest.fixture(scope="module")
def divided(folder):
    """The same on 8 chips with its state divided, and its layers over 2 of them."""
    found = planned(
        folder / "fsdp.json",
        "--topology=v5e:2x4",
        "--nosearch_batch",
        "--config.mesh.shape=model:2",
        "--config.mesh.mode=fsdp",
    )
    return found["slices"][0]


@needs_libtpu
class TestCompiledPlans:
    """What the compiler for TPUs says of small experiments."""

    def test_memory_is_the_compilers_and_fits_the_chip(self, small):
        memory = small["train_step"]["memory"]
        parts = memory["arguments"] + memory["outputs"] - memory["aliased"]
        assert memory["total"] == parts + memory["temporaries"] + memory["code"]
        assert small["status"] == "fits"
        assert 0 < memory["total"] < small["available_memory"] < CHIPS["v5e"].hbm_bytes

    def test_the_state_is_updated_in_place(self, small):
        memory = small["train_step"]["memory"]
        assert memory["aliased"] > 0.95 * memory["outputs"]

    def test_data_parallel_gradients_are_reduced_along_data(self, data_parallel, small):
        step, parameters = small["train_step"], 4 * data_parallel["parameters"]
        assert {m["kind"] for m in step["messages"]} == {"all-reduce"}
        reduced = bytes_along(step, "all-reduce", "data")
        assert parameters <= reduced <= 1.05 * parameters
        assert {m["group_size"] for m in step["messages"]} == {8}

    def test_the_program_of_a_device_does_not_grow_from_8_to_256_chips(self, data_parallel):
        few, many = (s["train_step"] for s in data_parallel["slices"])
        for figure in ("executed_flops", "cycles", "hbm_bytes", "bytes_accessed"):
            assert many[figure] == pytest.approx(few[figure], rel=0.02), figure
        for part in ("arguments", "outputs", "temporaries"):
            assert many["memory"][part] == pytest.approx(few["memory"][part], rel=0.02), part
        assert bytes_along(many, "all-reduce", "data") == bytes_along(few, "all-reduce", "data")
        assert many["model_flops"] == 32 * few["model_flops"]

    def test_a_step_takes_its_parts_and_no_less_than_its_bounds(self, data_parallel):
        for found in data_parallel["slices"]:
            step = found["train_step"]
            parts = ("kernels", "unpriced", "messages_exposed", "copies_exposed")
            assert step["seconds"] == pytest.approx(sum(step[part] for part in parts))
            for bound in ("compute_bound", "memory_bound", "interconnect_bound"):
                assert 0 < step[bound] <= step["seconds"], bound
            peak = found["chips"] * CHIPS["v5e"].peak_flops
            assert step["mfu"] == pytest.approx(step["model_flops"] / peak / step["seconds"])

    def test_a_run_is_its_steps_times_their_time(self, small):
        steps, run = small["train_step"], small["run"]
        seconds = run["train_steps"] * steps["seconds"]
        seconds += run["eval_steps"] * small["eval_step"]["seconds"]
        assert run["train_steps"] == 197  # 40 epochs of 1,259 examples in batches of 256
        assert run["seconds"] == pytest.approx(seconds)
        assert run["chip_hours"] == pytest.approx(8 * seconds / 3600)

    def test_divided_state_is_gathered_along_data_and_takes_less_memory(self, divided, small):
        assert divided["mesh"] == {"data": 4, "model": 2}
        step = divided["train_step"]
        assert bytes_along(step, "all-gather", "data") > 0
        # An eighth of the state; arrays of less than 4 KiB stay whole, in tiles of that size.
        assert step["memory"]["arguments"] < 0.3 * small["train_step"]["memory"]["arguments"]

    def test_divided_layers_exchange_along_model(self, divided):
        along_model = {
            m["kind"] for m in divided["train_step"]["messages"] if m["axes"] == ["model"]
        }
        assert along_model & {"all-gather", "all-reduce", "reduce-scatter"}

    def test_what_does_not_fit_is_said_with_the_largest_batch_that_does(self, capsys):
        code, shown, _ = run(
            capsys, "--topology=v5e:1x1", "--per_device_batch_size=65536",
            "--config.model.widths=(8,)", *LARGE_IMAGES,
        )  # fmt: skip
        assert code == cli.SUCCESS
        assert re.search(r"verdict +c +does not fit", shown)
        assert "Ran out of memory on HBM" in " ".join(shown.split())
        (largest,) = re.findall(r"largest batch a device +c +([\d,]+)", shown)
        fits = int(largest.replace(",", ""))
        assert f"v5e:1x1: {largest} examples a device fit (" in shown
        # Its images alone, as float32, take between a quarter and all of 15.75 GiB.
        assert 0.25 < fits * 256 * 256 * 3 * 4 / (15.75 * 2**30) < 1

    def test_an_evaluation_that_does_not_fit_is_told_from_training(self, folder):
        found = planned(
            folder / "eval.json", "--topology=v5e:1x1", "--per_device_batch_size=8",
            "--config.evaluation.global_batch_size=65536", "--config.model.widths=(8,)",
            "--nosearch_batch", *LARGE_IMAGES,
        )["slices"][0]  # fmt: skip
        assert found["status"] == "does not fit"
        assert found["reason"].startswith("eval step: RESOURCE_EXHAUSTED")
        assert found["train_step"]["memory"]["total"] < found["available_memory"]
        assert found["eval_step"] is None and found["run"] is None

    def test_a_slice_that_cannot_share_the_global_batch_leaves_the_others(self, folder):
        found = planned(
            folder / "strong.json",
            "--topology=v5e:2x4,v5e:16x16", "--scaling=strong", "--nosearch_batch",
        )  # fmt: skip
        few, many = found["slices"]
        assert (few["status"], few["global_batch_size"]) == ("fits", 64)
        assert many["status"] == "cannot be placed"
        assert "nearest sizes that can are 256" in many["reason"]

    def test_the_page_needs_nothing_else_and_shows_every_slice(self, data_parallel, folder):
        page = (folder / "dp.html").read_text()
        assert "<svg" in page
        assert not re.search(r"<(script|link|img|iframe)\b|@import|url\(\s*['\"]?http", page)
        for found in data_parallel["slices"]:
            assert page.count(found["topology"]) >= 4

    def test_two_plans_at_once_are_quiet_and_leave_jax_to_their_callers(self):
        program = (
            "import sys\n"
            "from launch import cli, plan\n"
            "code = cli.guarded(plan.main, sys.argv[1:])\n"
            "sys.exit('JAX is loaded' if 'jax' in sys.modules else code)"
        )
        environment = {k: v for k, v in os.environ.items() if k != "JAX_PLATFORMS"}
        argv = ["--topology=v5e:1x1", "--nosearch_batch", "--json=-"]
        both = [
            subprocess.Popen(
                [sys.executable, *command, *argv], cwd=CHECKOUT, env=environment, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
            for command in (["-m", "launch.plan"], ["-c", program])
        ]  # fmt: skip
        for process in both:
            shown, noise = process.communicate(timeout=300)
            assert (process.returncode, noise) == (0, "")
            assert json.loads(shown)["schema"] == report_json.SCHEMA


def test_without_a_compiler_the_extra_is_named(capsys, monkeypatch):
    monkeypatch.setattr(compiler, "is_installed", lambda: False)
    code, _, said = run(capsys, "--topology=v5e:2x4")
    assert code == cli.BAD_INPUT
    assert "pip install 'hanok[plan]'" in said


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "--topology: give one or more slices"),
        (["--topology=v5e:2x5"], "there is no slice 'v5e:2x5'"),
        (["--topology=v5e:2x4", "--scaling=both"], "<weak|strong>"),
        (["--topology=v5e:2x4", "--html=no/such/folder/plan.html"], "can't be written"),
        (["--topology=v5e:2x4", f"--json={CHECKOUT}"], f"--json: {CHECKOUT} can't be written"),
        (["--topology=v5e:2x4", "--data_classes=10"], "give all of --data_shape, --data_classes"),
        (["--topology=v5e:2x4", "--data_shape=28,28", *LARGE_IMAGES[1:]], "not '28,28'"),
        (["--topology=v5e:2x4", *LARGE_IMAGES[:2], "--data_examples=0,1,1"], "of at least 1"),
    ],
)
def test_a_wrong_argument_is_refused(capsys, argv, message):
    code, _, said = run(capsys, *argv)
    assert code == cli.BAD_INPUT
    assert message in said


@needs_libtpu
@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--config.data.name=folder", "--config.data.data_dir=nowhere"], "--data_examples=54000,"),
        (["--config.mesh.shape=data:4"], "data:4 uses 4 of 8 devices"),
        (["--config.global_batch_size=100"], "or give --per_device_batch_size"),
    ],
)
def test_what_cannot_be_planned_is_said_before_compiling(capsys, argv, message):
    code, shown, said = run(capsys, "--topology=v5e:2x4", *argv)
    assert code == cli.BAD_INPUT
    assert message in said
    assert "compiled" not in shown
