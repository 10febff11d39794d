"""The commands of a launch, as gcloud itself reads them."""

import os
import shutil
import subprocess

import pytest

from launch.cloud.commands import Plan
from launch.cloud.slices import parse_type

PLAN = Plan(
    name="hanok-a",
    slice_type=parse_type("v5litepod-16"),
    zone="us-west4-a",
    train_flags=("--workdir=gs://bucket/runs/a", "--config.model.widths=(8, 8)"),
    runtime_version="v2-alpha-tpuv5-lite",
    tarball="/etc/hostname",
    project="nobody",
    spot=True,
    service_account="me@nobody",
    setup="touch a",
)
STEPS = [
    PLAN.create(),
    PLAN.describe_order(),
    PLAN.describe_node(),
    PLAN.copy(),
    PLAN.train(1),
    PLAN.delete(),
]


@pytest.mark.skipif(shutil.which("gcloud") is None, reason="gcloud is not installed")
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.argv[4])
def test_gcloud_knows_every_argument(step, tmp_path):
    # Without an account it gets as far as having read them all; it asks nobody.
    environment = {
        "PATH": os.environ["PATH"],
        "CLOUDSDK_CONFIG": str(tmp_path),
        "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
    }
    done = subprocess.run(
        step.argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert "do not currently have an active account" in done.stderr


def test_flags_reach_the_hosts_quoted():
    assert PLAN.train(3).argv[-1] == (
        "--command=bash hanok/launch/cloud/host.sh train 3 "
        "--workdir=gs://bucket/runs/a '--config.model.widths=(8, 8)'"
    )


def test_nothing_but_training_may_take_for_ever():
    steps = [*STEPS, *PLAN.setting_up(), PLAN.versions(), PLAN.stop()]
    assert {s.purpose for s in steps if s.minutes > 60} == {PLAN.train(1).purpose}
