"""Work directories in a bucket are like those on a disk."""

import http.server
import io
import json
import os
import pathlib
import subprocess
import sys
import threading

import fsspec
import gcsfs
import jax
import numpy as np
import pytest

from launch import cli
from research import checkpoint_tools, lease, remote
from research.checkpoints import Checkpoints
from research.errors import UserError
from research.metrics import read
from research.restoring import evaluate_checkpoint
from research.workdir import find_workdir, open_workdir
from tests.bucket import BUCKET, emulated
from tests.faults import pods
from tests.runs import experiment, final_state, run

OPTIONS = [
    "--config.steps=30",
    "--config.model.widths=(16,)",
    "--config.logging.every_steps=7",
    "--config.checkpoint.every_steps=10",
    "--config.checkpoint.keep=2",
]


@pytest.fixture(scope="module", autouse=True)
def bucket():
    """The address of a bucket, which this process and those it starts can reach."""
    with emulated() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield f"gs://{BUCKET}"
        # Else gcsfs closes them when Python ends, and its event loop may be gone.
        for system in gcsfs.GCSFileSystem._cache.values():
            if system.session:
                fsspec.asyn.sync(system.loop, system.session.close)


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory):
    """A run on this machine's disk."""
    path = tmp_path_factory.mktemp("run")
    run(experiment(*OPTIONS), path)
    return path


@pytest.fixture(scope="module")
def resumed(bucket):
    """The same in the bucket, stopped and resumed with nothing left on the disk.

    Returns (path, step of each checkpoint -> the last step in metrics.jsonl by then).
    """
    path, known = f"{bucket}/runs/resumed", {}
    save = Checkpoints.save

    def spy(checkpoints, step, *arguments):
        known[step] = json.loads(text(path, "metrics.jsonl").splitlines()[-1])["step"]
        save(checkpoints, step, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "save", spy)
        assert run(experiment(*OPTIONS), path, stop_after=23).stopped
        run(experiment(*OPTIONS), path)
    return path, known


def text(path, name):
    return (remote.locate(path) / name).read_text()


def test_a_run_stopped_and_resumed_equals_one_on_a_disk_bit_for_bit(resumed, on_disk):
    chosen, path = experiment(*OPTIONS), resumed[0]
    jax.tree.map(
        np.testing.assert_array_equal, final_state(chosen, on_disk), final_state(chosen, path)
    )
    assert text(path, "metrics.jsonl") == text(on_disk, "metrics.jsonl")


def test_metrics_are_in_the_bucket_before_the_checkpoint_that_knows_them(resumed):
    assert resumed[1] == {10: 7, 20: 14, 23: 21, 30: 30}


def test_it_leaves_the_same_files(resumed, on_disk):
    def kinds(path):
        names = remote.files_below(remote.locate(path))
        return {name.split("/")[0] for name in names} - {"lock"}

    assert kinds(resumed[0]) == kinds(on_disk)
    events = remote.files_below(remote.locate(resumed[0]) / "tensorboard")
    assert len(events) == 1  # those of the run before it was resumed are gone


def test_evaluate_reads_it(resumed):
    expected = json.loads(text(resumed[0], "summary.json"))["test"]
    evaluated = evaluate_checkpoint(resumed[0])
    assert evaluated.results["test"].as_dict(evaluated.class_names) == expected


def test_it_is_read_in_the_same_way_where_tensorflow_is_installed(resumed, tmp_path):
    (tmp_path / "tensorflow.py").write_text("raise AssertionError('asked to read a bucket')")
    reads = "import sys; from research import remote; remote.locate(sys.argv[1]).read_text()"
    subprocess.run(
        [sys.executable, "-c", reads, f"{resumed[0]}/metrics.jsonl"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"},
        cwd=pathlib.Path(__file__).parents[1],
        check=True,
    )


def test_another_run_begins_with_its_parameters(resumed, tmp_path):
    output = io.StringIO()
    chosen = experiment(*OPTIONS, f"--config.init_from={resumed[0]}")
    run(chosen, tmp_path, stop_after=-1, output=output)
    assert f"restored from {resumed[0]}/checkpoints/30:\n" in output.getvalue()


def test_a_recorded_experiment_is_launched_again_from_there(resumed):
    from launch.flags import parse_experiment

    recorded, _ = parse_experiment(
        [f"--config_json={resumed[0]}/experiment.json"], lambda values: None, ""
    )
    # A run that is stopped at a given step makes its steps one by one.
    one_by_one = experiment(*OPTIONS, "--config.feeding.steps_at_once=1")
    assert recorded == one_by_one


@pytest.fixture
def two_checkpoints(bucket, request):
    """A folder of a bucket with the checkpoints of steps 1 and 2, and what they hold."""
    folder = remote.locate(f"{bucket}/{request.node.name}/checkpoints")
    state = {"weights": jax.numpy.arange(1000.0)}
    checkpoints = Checkpoints(folder, keep=2)
    for step in (1, 2):
        checkpoints.save(step, state)
    checkpoints.close()
    return folder, state


def test_a_damaged_object_is_noticed_and_its_checkpoint_set_aside(two_checkpoints):
    folder, state = two_checkpoints
    name = next(name for name in remote.files_below(folder / "2") if "/d/" in name)
    content = bytearray((folder / "2" / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "2" / name).write_bytes(bytes(content))

    checkpoints = Checkpoints(folder)
    with pytest.raises(UserError, match=f"2 is damaged: {name} was altered"):
        checkpoints.restore(2, state)
    assert checkpoints.newest_valid() == 1
    assert (folder.parent / "damaged" / "2" / name).read_bytes() == content
    assert Checkpoints(folder, read_only=True).steps() == [1]
    jax.tree.map(np.testing.assert_array_equal, checkpoints.restore(1, state), state)
    checkpoints.save(2, state)
    checkpoints.close()


def test_a_save_that_was_never_finished_does_not_count(two_checkpoints):
    folder, state = two_checkpoints
    (folder / "2" / "commit_success.txt").unlink()
    assert Checkpoints(folder, read_only=True).steps() == [1]
    checkpoints = Checkpoints(folder)
    assert checkpoints.newest_valid() == 1
    checkpoints.save(2, state)
    checkpoints.close()
    assert Checkpoints(folder, read_only=True).newest_valid() == 2


def test_checkpoints_are_copied_between_disk_and_bucket_verified_and_pruned(
    resumed, bucket, on_disk, tmp_path
):
    path, copies = resumed[0], [str(tmp_path / "down"), f"{bucket}/runs/up", f"{bucket}/runs/over"]
    for source, target in zip([path, str(on_disk), path], copies, strict=True):
        checkpoint_tools.copy(source, target)
        checkpoint_tools.copy(source, target, step=23 if source == path else 20)
        assert list(checkpoint_tools.damages(target).values()) == [[], []]
        assert (
            checkpoint_tools.compare(
                remote.locate(target) / "checkpoints" / "30", on_disk / "checkpoints" / "30"
            ).arrays
            == []
        )
        assert checkpoint_tools.list_all(target)[30].size > 10_000
        assert checkpoint_tools.prune(target, keep=1).kept == [30]
        assert list(checkpoint_tools.list_all(target)) == [30]
        assert text(target, "metrics.jsonl") == text(on_disk, "metrics.jsonl")


def test_two_processes_train_there(bucket):
    path = f"{bucket}/runs/two"
    ended = pods.ended(path, *OPTIONS, "--config.mesh.mode=fsdp", devices=4)
    assert [process.code for process in ended] == [cli.SUCCESS] * 2, ended
    expected = json.loads(text(path, "summary.json"))["test"]["accuracy"]
    assert evaluate_checkpoint(path).results["test"].accuracy == expected
    lines = list(read(find_workdir(path).metrics))
    assert [line["step"] for line in lines if line["split"] == "train"] == [7, 14, 21, 28, 30]


def test_a_second_writer_is_refused(bucket, monkeypatch):
    monkeypatch.setattr(lease, "BEAT", 0.2)
    path = f"{bucket}/runs/held"
    refused = pytest.raises(UserError, match=f"{path} is being written by another run")
    with open_workdir(path).sole_writer(), refused:
        run(experiment(*OPTIONS), path)
    assert remote.files_below(remote.locate(path)) == []


@pytest.mark.parametrize("use", [open_workdir, find_workdir])
def test_a_bucket_that_does_not_exist_is_an_error_not_created(use):
    with pytest.raises(UserError, match=r"(?s)gs://nowhere/a can't be used: NOT_FOUND.*name right"):
        use("gs://nowhere/a")


def test_a_folder_that_holds_no_run_is_an_error(bucket):
    with pytest.raises(UserError, match="no file gs://bucket/b/experiment.json: is gs://bucket/b"):
        evaluate_checkpoint(f"{bucket}/b")


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("use", [open_workdir, find_workdir])
def test_what_a_bucket_refuses_is_an_error_with_a_remedy(use, status, monkeypatch):
    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b'{"error": {"message": "no access to storage.objects"}}')

        do_POST = do_GET

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("TENSORSTORE_GCS_HTTP_URL", f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(UserError) as error:
            use(f"gs://{BUCKET}/b")
        server.shutdown()
    assert str(error.value).startswith(
        f"gs://{BUCKET}/b can't be used: PERMISSION_DENIED: no access to storage.objects\nLog in"
    )


def test_what_reads_buckets_is_asked_for_by_name(monkeypatch):
    remote._prepare_epath.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'hanok\[gcs\]'"):
        open_workdir("gs://bucket/a")


@pytest.mark.parametrize(
    ("path", "message"),
    [("s3://bucket/a", "are on a disk or in a bucket, gs://"), ("gs://", "Give gs://BUCKET")],
)
def test_another_address_is_refused(path, message):
    with pytest.raises(UserError, match=message):
        open_workdir(path)
