"""Manifests for GKE and SkyPilot."""

import pytest
import yaml

from launch.cloud import manifest
from research.errors import UserError

TRAINING = ("--", "--workdir=gs://bucket/runs/a", "--config.model.widths=(8, 8)")


def rendered(capsys, *flags):
    assert manifest.main([*flags, *TRAINING]) == 0
    return yaml.safe_load(capsys.readouterr().out)


def job_of(jobset):
    (job,) = jobset["spec"]["replicatedJobs"]
    return job["template"]["spec"]


def test_a_jobset_has_a_pod_for_each_host_with_its_chips(capsys):
    job = job_of(rendered(capsys, "--kind=jobset", "--type=v5litepod-16", "--image=i"))
    assert job["parallelism"] == job["completions"] == 4
    pod = job["template"]["spec"]
    assert pod["nodeSelector"] == {
        "cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice",
        "cloud.google.com/gke-tpu-topology": "4x4",
    }
    (container,) = pod["containers"]
    assert container["resources"]["limits"]["google.com/tpu"] == 4
    assert container["command"][:3] == ["python", "-m", "launch.train"]
    assert container["command"][3:] == [*TRAINING[1:], "--distributed"]


def test_a_single_host_has_all_chips(capsys):
    job = job_of(rendered(capsys, "--kind=jobset", "--type=v6e-8", "--image=i"))
    (container,) = job["template"]["spec"]["containers"]
    assert job["parallelism"] == 1
    assert container["resources"]["limits"]["google.com/tpu"] == 8


def test_a_jobset_ends_for_failures_and_starts_again_for_all_else(capsys):
    jobset = rendered(capsys, "--kind=jobset", "--type=v6e-8", "--image=i", "--retries=7")
    policy = jobset["spec"]["failurePolicy"]
    assert policy["maxRestarts"] == 7
    assert policy["rules"] == [
        {"action": "FailJobSet", "onJobFailureReasons": ["PodFailurePolicy"]}
    ]
    job = job_of(jobset)
    (rule,) = job["podFailurePolicy"]["rules"]
    assert rule["action"] == "FailJob" and rule["onExitCodes"]["values"] == [1, 2, 3]
    assert job["backoffLimit"] == 0 and job["template"]["spec"]["restartPolicy"] == "Never"


def test_a_jobset_on_spot_hosts_with_setup_and_an_account(capsys):
    flags = ("--spot", "--service_account=trainer", "--setup=fetch data")
    pod = job_of(rendered(capsys, "--type=v4-8", "--image=i", *flags))["template"]["spec"]
    assert pod["nodeSelector"]["cloud.google.com/gke-spot"] == "true"
    assert pod["tolerations"][0]["key"] == "cloud.google.com/gke-spot"
    assert pod["serviceAccountName"] == "trainer"
    shell, _, command = pod["containers"][0]["command"]
    assert shell == "sh"
    assert command.startswith("fetch data && exec python -m launch.train --workdir=gs://")
    assert "'--config.model.widths=(8, 8)'" in command


def test_a_skypilot_task_installs_and_trains_on_the_slice(capsys):
    flags = ("--kind=skypilot", "--type=v5p-16", "--zone=us-east5-a", "--spot", "--setup=fetch")
    task = rendered(capsys, *flags)
    assert task["resources"] == {
        "infra": "gcp/us-east5/us-east5-a",
        "accelerators": "tpu-v5p-16",
        "accelerator_args": {"runtime_version": "v2-alpha-tpuv5"},
        "use_spot": True,
        "job_recovery": {"recover_on_exit_codes": [75]},
    }
    assert "host.sh install" in task["setup"] and task["setup"].endswith("\nfetch\n")
    assert "launch.train --workdir=gs://bucket/runs/a '--config.model.widths=(8, 8)'" in task["run"]


def test_a_jobset_needs_an_image():
    with pytest.raises(UserError, match="--image"):
        manifest.main(["--kind=jobset", "--type=v6e-8", *TRAINING])
