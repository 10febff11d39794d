"""Prints what GKE or SkyPilot need to run the training of launch.cloud.tpu.

    python -m launch.cloud.manifest --kind=jobset --type=v5litepod-16 --image=IMAGE \\
        -- --config=configs/digits_cnn.py --workdir=gs://BUCKET/runs/a >jobset.yaml
    python -m launch.cloud.manifest --kind=skypilot --type=v5litepod-16 --spot \\
        -- --config=configs/digits_cnn.py --workdir=gs://BUCKET/runs/a >task.yaml

Exit codes of launch.train decide there, too: after 75, or when a host is taken
away, training starts again; 1, 2 and 3 end it. Exit codes of this command: 0
printed, 2 bad input.
"""

import shlex

import yaml
from absl import flags

from launch import cli
from launch.cloud.commands import PYTHON, install_command
from launch.cloud.slices import SliceType, parse_type
from launch.cloud.training import Training, checked, split
from launch.flags import parse
from research.errors import UserError

_FAILURES = [1, cli.BAD_INPUT, cli.DIVERGED]
_JOBSET_HEADING = f"""\
# The cluster needs JobSet (https://jobset.sigs.k8s.io), a node pool of this TPU and topology,
# and a Kubernetes service account that may use the bucket. The image:
#   python -m launch.cloud.pack --output=hanok.tar.gz
#   docker build --build-arg=PYTHON={PYTHON} --file=launch/cloud/Dockerfile --tag=IMAGE - \\
#     <hanok.tar.gz
#   docker push IMAGE
# Then: kubectl apply --filename=THIS_FILE
"""
_SKYPILOT_HEADING = """\
# python -m launch.cloud.pack --output=hanok.tar.gz
# sky jobs launch THIS_FILE
"""


def main(argv: list[str]) -> int:
    """Runs the command; returns its exit code."""
    own, training_flags = split(argv)
    values = parse(own, _define, __doc__)
    slice_type = parse_type(values.type)
    training = checked(training_flags, values.setup)
    if values.kind == "jobset" and not values.image:
        raise UserError("--image: give the container image; launch/cloud/Dockerfile makes one")
    heading, render = _KINDS[values.kind]
    manifest = render(values.name or training.name(slice_type.name), slice_type, training, values)
    print(heading + yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, width=1000), end="")
    return cli.SUCCESS


def jobset(
    name: str, slice_type: SliceType, training: Training, values: flags.FlagValues
) -> dict[str, object]:
    """Returns a JobSet with one pod for each host of the slice.

    Sources: https://jobset.sigs.k8s.io/docs/reference/jobset.v1alpha2/ (failure
    policy), https://kubernetes.io/docs/tasks/job/pod-failure-policy/,
    https://cloud.google.com/kubernetes-engine/docs/how-to/tpus (labels, resources).
    """
    command = ["python", "-m", "launch.train", *training.flags]
    if values.setup:
        command = ["sh", "-c", f"{values.setup} && exec {shlex.join(command)}"]
    pod = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 300,  # after SIGTERM training saves
        "nodeSelector": {
            "cloud.google.com/gke-tpu-accelerator": slice_type.generation.gke_accelerator,
            "cloud.google.com/gke-tpu-topology": slice_type.topology,
        },
        "containers": [
            {
                "name": "train",
                "image": values.image,
                "command": command,
                "env": [{"name": "JAX_PLATFORMS", "value": "tpu,cpu"}],
                "resources": {"limits": {"google.com/tpu": slice_type.chips // slice_type.hosts}},
            }
        ],
    }
    if values.spot:
        spot = "cloud.google.com/gke-spot"
        pod["nodeSelector"][spot] = "true"
        pod["tolerations"] = [{"key": spot, "operator": "Equal", "value": "true"}]
    if values.service_account:
        pod["serviceAccountName"] = values.service_account
    failure = {"containerName": "train", "operator": "In", "values": _FAILURES}
    job = {
        "parallelism": slice_type.hosts,
        "completions": slice_type.hosts,
        "backoffLimit": 0,  # without one host the others are of no use: all start again
        "podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": failure}]},
        "template": {"spec": pod},
    }
    one_node_pool = {"alpha.jobset.sigs.k8s.io/exclusive-topology": "cloud.google.com/gke-nodepool"}
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": name, "annotations": one_node_pool},
        "spec": {
            "failurePolicy": {
                "maxRestarts": values.retries,
                "rules": [{"action": "FailJobSet", "onJobFailureReasons": ["PodFailurePolicy"]}],
            },
            "replicatedJobs": [{"name": "slice", "replicas": 1, "template": {"spec": job}}],
        },
    }


def skypilot(
    name: str, slice_type: SliceType, training: Training, values: flags.FlagValues
) -> dict[str, object]:
    """Returns a SkyPilot task; SkyPilot runs it on every host of the slice.

    Sources: https://docs.skypilot.co/en/latest/reference/yaml-spec.html, /tpu.html,
    /examples/managed-jobs.html (recovery; preemptions are no errors there).
    """
    region = values.zone.rpartition("-")[0]
    setup = ["set -e", "cd ~", install_command(), values.setup]
    train = shlex.join(["-m", "launch.train", *training.flags])
    return {
        "name": name,
        "resources": {
            "infra": f"gcp/{region}/{values.zone}" if values.zone else "gcp",
            "accelerators": f"tpu-{slice_type.name}",
            "accelerator_args": {"runtime_version": slice_type.generation.runtime_version},
            "use_spot": values.spot,
            "job_recovery": {"recover_on_exit_codes": [cli.STOPPED]},
        },
        "file_mounts": {"~/hanok.tar.gz": "./hanok.tar.gz"},
        "setup": "".join(f"{line}\n" for line in setup if line),
        "run": f"cd ~/hanok\nJAX_PLATFORMS=tpu,cpu exec ~/hanok-env/bin/python {train}\n",
    }


_KINDS = {"jobset": (_JOBSET_HEADING, jobset), "skypilot": (_SKYPILOT_HEADING, skypilot)}


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    ),
)


def _define(values: flags.FlagValues) -> None:
    flags.DEFINE_enum("kind", "jobset", tuple(_KINDS), "for whom", flag_values=values)
    for name, meaning in (
        ("type", "accelerator type, such as v5litepod-16"),
        ("zone", "of a SkyPilot task; any unless given"),
        ("image", "of a JobSet's containers"),
        ("service_account", "of a JobSet's pods: one of Kubernetes, allowed to use the bucket"),
        ("setup", "shell command for every host before training, such as to fetch data"),
        ("name", "of the job; follows from work directory and type unless given"),
    ):
        flags.DEFINE_string(name, "", meaning, flag_values=values)
    flags.DEFINE_bool("spot", False, "on hosts that may be taken away", flag_values=values)
    flags.DEFINE_integer(
        "retries", 100, "how often a JobSet starts again", lower_bound=0, flag_values=values
    )


if __name__ == "__main__":
    cli.run(main)
