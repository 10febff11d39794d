"""`python -m launch.doctor`, on the machine that runs the tests."""

import json
import subprocess
import sys
import textwrap

import pytest

from launch import cli, doctor


@pytest.fixture(scope="module")
def asked():
    """The command as a person gives it: (exit code, what it printed)."""
    done = subprocess.run(
        [sys.executable, "-m", "launch.doctor", "--platform=cpu"], capture_output=True, text=True
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_it_says_what_there_is(asked):
    _, shown = asked
    for topic in ("python", "packages", "devices   JAX uses cpu", "data      digits", "cache"):
        assert f"  {topic}" in shown


def test_it_fits_on_a_screen(asked):
    lines = asked[1].splitlines()
    assert len(lines) < 24 and max(map(len, lines)) < 140


def test_the_exit_code_is_the_verdict(asked):
    code, shown = asked
    assert code == (cli.SUCCESS if shown.endswith("all is well\n") else cli.BAD_INPUT)
    assert (code == cli.BAD_INPUT) == ("  -> " in shown)


def test_a_problem_is_marked_and_has_a_remedy(capsys, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HANOK_CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert doctor.main([]) == cli.BAD_INPUT
    shown = capsys.readouterr().out
    assert "!!  cache" in shown and "-> set HANOK_CACHE_DIR" in shown and "problem" in shown


def test_json_holds_versions_devices_and_findings(capsys):
    code = doctor.main(["--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["well"] == (code == cli.SUCCESS)
    assert found["platform"] == "cpu" and found["versions"]["jax"]
    assert {"topic", "message", "remedy"} == set(found["findings"][0])


def test_a_python_without_hanoks_requirements_is_told_how_to_get_them():
    program = textwrap.dedent("""
        import sys
        sys.modules["ml_collections"] = None
        from launch import cli, doctor
        sys.exit(cli.guarded(doctor.main, []))
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == cli.BAD_INPUT
    assert "has no package" in done.stderr and "pip install -e ." in done.stderr
