"""The notice of Google Cloud that a machine is taken away asks a run to stop."""

import contextlib
import http.server
import queue
import threading

import pytest

from launch import cli, preemption


@contextlib.contextmanager
def metadata_server(monkeypatch, values):
    """Answers as a machine's metadata server does; `values` may change meanwhile."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            key = self.path.removeprefix("/computeMetadata/v1/instance/")
            known = self.headers["Metadata-Flavor"] == "Google" and key in values
            self.send_response(200 if known else 404)
            self.end_headers()
            self.wfile.write(values.get(key, "").encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{server.server_port}")
    # No proxy is asked for what is on the machine itself.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    yield
    server.shutdown()
    server.server_close()


QUIET = {"preempted": "FALSE", "maintenance-event": "NONE"}


@pytest.mark.parametrize(
    ("key", "value"),
    [("preempted", "TRUE"), ("maintenance-event", "TERMINATE_ON_HOST_MAINTENANCE")],
)
def test_a_notice_is_passed_on_once_it_is_given(monkeypatch, key, value):
    values, reasons = dict(QUIET), queue.Queue()
    with metadata_server(monkeypatch, values):
        assert preemption.watch(reasons.put, interval=0.02)
        with pytest.raises(queue.Empty):
            reasons.get(timeout=0.2)
        values[key] = value
        assert reasons.get(timeout=30) == f"the notice {key}={value}"


def test_a_server_that_fails_is_asked_again(monkeypatch):
    values, reasons = {}, queue.Queue()
    with metadata_server(monkeypatch, values):
        preemption.watch(reasons.put, interval=0.02)
        with pytest.raises(queue.Empty):
            reasons.get(timeout=0.2)
        values.update(QUIET, preempted="TRUE")
        assert reasons.get(timeout=30) == "the notice preempted=TRUE"


@pytest.mark.parametrize("content", [None, "Standard PC (Q35 + ICH9, 2009)\n"])
def test_elsewhere_nobody_is_asked(monkeypatch, tmp_path, content):
    monkeypatch.delenv("GCE_METADATA_HOST", raising=False)
    monkeypatch.setattr(preemption, "PRODUCT_NAME", tmp_path / "product_name")
    if content:
        (tmp_path / "product_name").write_text(content)
    assert not preemption.watch(lambda reason: None)


def test_a_run_is_asked_to_stop_for_the_first_reason_there_is():
    with cli.StopRequest() as stop:
        assert stop() == ""
        stop.request("the notice preempted=TRUE")
        stop.limit(0)
        assert stop() == "the notice preempted=TRUE"
