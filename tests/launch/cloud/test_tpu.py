"""The launcher against a cloud that refuses, preempts, drops connections and fails."""

import shlex
import signal
import subprocess

import pytest

from launch.cloud import tpu
from research.errors import UserError
from tests.launch.cloud.cloud import ACTIVE, WORKDIR, needs_git, wait_until

pytestmark = needs_git

QUEUED = {"state": "WAITING_FOR_RESOURCES"}
SSH, SCP = ("tpu-vm", "ssh"), ("tpu-vm", "scp")
CREATE, DELETE = ("queued-resources", "create"), ("queued-resources", "delete")


def trains(calls):
    """Those calls that train."""
    return [call for call in calls if "host.sh train" in call[-1]]


def test_a_slice_is_ordered_awaited_set_up_trained_on_and_given_back(cloud):
    cloud.hosts = 2
    cloud.states = [[QUEUED, QUEUED, {"state": "PROVISIONING"}, ACTIVE]]
    cloud.train = 'echo "trains with $*"'
    output = cloud.launch("--spot", code=0)
    for host in (0, 1):
        assert f"[{host}] trains with {WORKDIR} --distributed" in output
    made = [call[2:4] for call in cloud.calls() if call[3] != "describe"]
    assert list(map(tuple, made)) == [CREATE, SCP, SSH, SSH, SSH, DELETE]
    assert "WAITING_FOR_RESOURCES" in output and "PROVISIONING" in output
    assert cloud.is_empty


def test_what_is_printed_is_what_is_run(cloud):
    flags = ("--spot", "--project=p", "--service_account=me@p", "--setup=touch 'a b'")
    printed = cloud.launch(*flags, "--print_only", code=0)
    assert cloud.calls() == []
    shown = [shlex.split(line) for line in printed.splitlines() if line.startswith("gcloud")]
    cloud.launch(*flags, code=0)
    ran = [["gcloud", *call] for call in cloud.calls()]
    only_after_ctrl_c = [command for command in shown if command[-1].endswith("host.sh stop")]
    assert all(command in shown for command in ran)
    assert all(command in ran + only_after_ctrl_c for command in shown)


def test_printing_needs_no_gcloud_and_gives_a_shell_script(cloud, monkeypatch):
    (cloud.folder / "bin" / "gcloud").unlink()
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    printed = cloud.launch("--print_only", code=0)
    subprocess.run(["bash", "-n"], input=printed, text=True, check=True)


def test_capacity_and_quota_are_waited_for(cloud):
    cloud.refusals = [
        'There is no more capacity in the zone "us-west4-a"',
        "RESOURCE_EXHAUSTED: Quota limit 'TPUV5s' has been exceeded. Limit: 32 in region us-west4.",
    ]
    full = {"state": "FAILED", "failedData": {"error": {"code": 8, "message": "stockout"}}}
    cloud.states = [[QUEUED, full], [ACTIVE]]
    output = cloud.launch(code=0)
    assert "retry 1 of 100" in output and "retry 3 of 100" in output
    assert len(cloud.calls(*CREATE)) == 4 and cloud.runs() == 1


@pytest.mark.parametrize(
    "refusal",
    [
        "PERMISSION_DENIED: Permission 'tpu.nodes.create' denied on 'projects/p'",
        "You do not currently have an active account selected.",
        "RESOURCE_EXHAUSTED: Quota limit 'TPUV6E' has been exceeded. Limit: 0 in region us-east5.",
    ],
)
def test_what_waiting_does_not_mend_is_said_at_once(cloud, refusal):
    cloud.refusals = [refusal]
    output = cloud.launch(code=2)
    assert refusal in output and "retry" not in output
    assert len(cloud.calls(*CREATE)) == 1 and cloud.calls(*DELETE) == []


def test_a_cloud_that_does_not_answer_is_asked_again(cloud):
    cloud.outages = 2
    output = cloud.launch(code=0)
    assert "no answer on the state of the slice: ERROR" in output and "outage 1" in output
    assert cloud.orders == 1 and cloud.runs() == 1


def test_no_capacity_for_too_long_ends_with_the_code_for_going_on(cloud):
    cloud.states = [[QUEUED]]
    output = cloud.launch("--queue_hours=0.0001", code=75)
    assert "no capacity" in output and "The same command goes on" in output
    assert cloud.is_empty


def test_preempted_training_goes_on_on_a_new_slice(cloud):
    cloud.hosts = 2
    cloud.train = """
        [ "$RUN" = 2 ] && { echo "goes on"; exit 0; }
        [ "$WORKER" = 1 ] && sleep 0.5 && touch "$FAKE_CLOUD/preempted"
        sleep 60
        """
    output = cloud.launch("--spot", code=0)
    assert "giving back what is left" in output and "[0] goes on" in output
    assert cloud.orders == 2 and cloud.runs(0) == cloud.runs(1) == 2
    assert cloud.is_empty


def test_preemption_is_noticed_though_ssh_says_nothing(cloud):
    cloud.ssh_hangs = True
    cloud.train = '[ "$RUN" = 2 ] && exit 0; touch "$FAKE_CLOUD/preempted"; sleep 60'
    output = cloud.launch(code=0)
    assert "the slice is lost (SUSPENDED)" in output and cloud.orders == 2


def test_a_replaced_slice_gets_the_same_checkout_whatever_was_edited_since(cloud):
    cloud.train = """
        [ "$RUN" = 2 ] || touch "$FAKE_CLOUD/preempted"
        sleep 0.5
        """
    output = cloud.launch(code=0)
    assert cloud.orders == 2 and output.count("pack the checkout") == 1


def test_the_crash_of_a_host_whose_neighbour_was_taken_away_is_no_failure(cloud):
    # The cloud says so only a moment after the crash.
    cloud.hosts = 2
    cloud.train = """
        [ "$RUN" = 2 ] && exit 0
        [ "$WORKER" = 1 ] && (sleep 0.3; touch "$FAKE_CLOUD/preempted") & sleep 0.1
        exit 1
        """
    output = cloud.launch("--poll_seconds=0.5", code=0)
    assert "retry 1 of 100" in output and cloud.orders == 2


def test_retries_are_limited(cloud):
    cloud.train = 'touch "$FAKE_CLOUD/preempted"; sleep 60'
    output = cloud.launch("--retries=1", code=75)
    assert "--retries=1 are used up" in output
    assert cloud.orders == 2 and cloud.is_empty


@pytest.mark.parametrize("code", [1, 2])
def test_a_failure_of_the_program_ends_it_with_its_exit_code(cloud, code):
    # The first one counts: hosts that lose a neighbour end, too, with codes of their own.
    cloud.hosts = 2
    cloud.train = f"""
        [ "$WORKER" = 1 ] && exit {code}
        sleep 0.6
        exit 134
        """
    output = cloud.launch(code=code)
    assert f"host 1 failed first, with exit code {code}" in output
    assert cloud.orders == 1 and cloud.runs() == 1 and cloud.is_empty


@pytest.mark.parametrize(
    "stops",
    [
        pytest.param("exit 75", id="by itself"),
        # As on a shutdown, which ends the shell around it, too.
        pytest.param("trap 'exit 75' TERM; kill -TERM 0; sleep 5", id="by SIGTERM to all"),
    ],
)
def test_training_that_stopped_and_saved_is_started_again_on_the_same_slice(cloud, stops):
    cloud.hosts = 2
    cloud.train = f'[ "$RUN" = 2 ] && exit 0; {stops}'
    output = cloud.launch(code=0)
    assert "training stopped and saved; retry 1 of 100" in output
    assert cloud.orders == 1 and cloud.runs(0) == cloud.runs(1) == 2
    assert len(cloud.calls(*SCP)) == 1


@pytest.mark.parametrize("who_connects_again", ["gcloud", "the launcher"])
def test_training_is_joined_not_started_twice_when_ssh_drops(cloud, who_connects_again):
    cloud.hosts = 2
    cloud.gcloud_connects_again = who_connects_again == "gcloud"
    cloud.train = """
        [ "$WORKER" = 0 ] && sleep 0.5 && touch "$FAKE_CLOUD/dropped"
        sleep 2
        echo "never noticed"
        """
    output = cloud.launch(code=0)
    assert cloud.orders == 1 and cloud.runs(0) == cloud.runs(1) == 1
    assert "[0] never noticed" in output and "[1] never noticed" in output
    calls = len(trains(cloud.calls(*SSH)))
    assert calls == (1 if cloud.gcloud_connects_again else 2)


def test_hosts_with_different_versions_do_not_train(cloud):
    cloud.hosts = 2
    cloud.write("versions.1", 's/"jax": "[^"]*"/"jax": "0.0.1"/')
    output = cloud.launch(code=2)
    assert "0.0.1 on host 1" in output and "nothing was trained" in output
    assert cloud.runs() == 0 and cloud.is_empty


def test_setting_up_that_fails_always_is_not_tried_for_ever(cloud):
    output = cloud.launch("--setup=exit 5", code=2)
    assert "could not run --setup (exit code 5), 3 times in a row" in output
    assert cloud.runs() == 0 and cloud.is_empty


def test_silent_training_is_ended_and_started_again(cloud):
    cloud.train = '[ "$RUN" = 2 ] || { echo begins; sleep 60; }'
    output = cloud.launch("--stall_minutes=0.03", code=0)
    assert "no host has said anything for" in output
    assert cloud.orders == 1 and cloud.runs(0) == 2


def test_ctrl_c_lets_training_save_and_gives_the_slice_back(cloud):
    cloud.hosts = 2
    cloud.train = """
        trap 'echo "saved by $WORKER" | tee -a "$FAKE_CLOUD/saved"; exit 75' TERM
        echo begins
        while true; do sleep 0.1; done
        """
    running = cloud.start()
    output = cloud.interrupt(running, after="[1] begins")
    assert running.returncode == 75, output
    assert sorted((cloud.folder / "saved").read_text().splitlines()) == ["saved by 0", "saved by 1"]
    assert cloud.is_empty


def test_a_second_ctrl_c_leaves_at_once(cloud):
    cloud.train = "trap 'sleep 5; exit 75' TERM; echo begins; while true; do sleep 0.1; done"
    running = cloud.start()
    for line in running.stdout:
        if "[0] begins" in line or "leaving" in line:
            running.send_signal(signal.SIGINT)
    assert running.wait(timeout=60) == 130
    assert not cloud.is_empty


def test_ctrl_c_in_the_queue_withdraws_the_order(cloud):
    cloud.states = [[QUEUED]]
    running = cloud.start()
    output = cloud.interrupt(running, after="WAITING_FOR_RESOURCES")
    assert running.returncode == 75 and cloud.is_empty, output
    assert cloud.calls(*SSH) == []


def test_a_slice_that_is_kept_stays_and_the_same_command_uses_it_again(cloud):
    cloud.train = '[ "$RUN" = 2 ] || { echo begins; sleep 60; }'
    running = cloud.start("--keep")
    output = cloud.interrupt(running, after="[0] begins")
    assert "the slice stays and costs on" in output and not cloud.is_empty
    output = cloud.launch(code=0)
    assert cloud.orders == 1 and "stopping launch.train" in output
    assert cloud.is_empty


def test_a_slice_that_cannot_be_given_back_is_cried_out(cloud):
    cloud.keeps_hosts = True
    output = cloud.launch(code=1)
    assert "COULD NOT BE GIVEN BACK" in output
    assert "gcloud compute tpus queued-resources delete hanok-a-" in output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_are_heeded_like_ctrl_c(cloud, number):
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip("under nohup, which the launcher respects, too")
    cloud.states = [[QUEUED]]
    running = cloud.start()
    wait_until(lambda: (cloud.folder / "order").exists())
    running.send_signal(number)
    assert f"{number.name}: leaving" in running.communicate(timeout=60)[0]
    assert running.returncode == 75 and cloud.is_empty


def test_the_slice_is_given_back_when_nobody_reads_what_is_printed(cloud):
    running = cloud.start()
    running.stdout.close()
    assert running.wait(timeout=60) == 0
    assert cloud.runs() == 1 and cloud.is_empty


def test_hosts_that_wait_for_one_that_failed_are_not_waited_for(cloud):
    cloud.hosts = 2
    cloud.train = '[ "$WORKER" = 1 ] && exit 3; sleep 60'
    output = cloud.launch(code=3)
    assert "a host has failed, and others do not end" in output
    assert "host 1 failed first, with exit code 3" in output and cloud.is_empty


@pytest.mark.parametrize(
    ("flags", "training", "message"),
    [
        ((), (), "no training is given"),
        ((), ("--workdir=runs/a",), "must be a path in a bucket, gs://BUCKET/PATH, not 'runs/a'"),
        ((), ("--config.seed=1",), "gs://BUCKET/PATH, and there is none"),
        ((), (WORKDIR, "--config.seed=x"), "--config.seed: takes a whole number, not 'x'"),
        ((), (WORKDIR, "--dry_run"), "--dry_run: needs no slice"),
        ((), (WORKDIR, "--max_minutes=5"), "would only be started again"),
        ((), (WORKDIR, "--config=configs/cifar10_cnn.py"), "--setup='gcloud storage cp"),
        (("--zone=west",), (WORKDIR,), "'west' is no zone"),
        (("--type=v5e-8",), (WORKDIR,), "Did you mean 'v5litepod-8'?"),
        (("--name=My_TPU",), (WORKDIR,), "'My_TPU' must be of a-z"),
        (("--retires=5",), (WORKDIR,), "Did you mean: retries ?"),
    ],
)
def test_a_wrong_command_line_is_refused_before_anything_is_ordered(flags, training, message):
    with pytest.raises(UserError) as error:
        tpu.main(["--type=v6e-8", "--zone=us-east5-b", *flags, "--", *training])
    assert message in str(error.value)


def test_a_config_that_does_not_go_to_the_hosts_is_refused(tmp_path):
    config = tmp_path / "mine.py"
    config.write_text("from configs.digits_mlp import get_config\n")
    with pytest.raises(UserError, match="not among the files that go to the hosts"):
        tpu.main(
            [
                "--type=v6e-8",
                "--zone=us-east5-b",
                "--print_only",
                "--",
                f"--config={config}",
                WORKDIR,
            ]
        )


def test_without_gcloud_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="cloud.google.com/sdk/docs/install"):
        tpu.main(["--type=v6e-8", "--zone=us-east5-b", "--", WORKDIR])
