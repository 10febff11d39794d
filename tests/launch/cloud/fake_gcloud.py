"""A gcloud whose cloud is a folder: it records every call and plays a scenario.

Hosts are folders, too; what is sent to them by ssh is run there by a real shell,
with a home, a `python3` and a metadata server of their own. In the folder:

  calls.jsonl    the arguments of every call
  scenario.json  what happens, see `Cloud` in cloud.py
  orders         one line for each order that was accepted
  order          exists while there is one; counts how often it was described
  preempted      once it exists the slice is gone
  dropped        makes ssh lose its connections, once
  hosts/N/       home of host N
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

FOLDER = pathlib.Path(os.environ["FAKE_CLOUD"])
SSH_LOST = 255


def main(argv):
    with (FOLDER / "calls.jsonl").open("a") as calls:
        calls.write(json.dumps(argv) + "\n")
    scenario = json.loads((FOLDER / "scenario.json").read_text())
    assert argv[:2] == ["compute", "tpus"], argv
    return {
        ("queued-resources", "create"): create,
        ("queued-resources", "describe"): describe_order,
        ("queued-resources", "delete"): delete,
        ("tpu-vm", "describe"): describe_node,
        ("tpu-vm", "scp"): scp,
        ("tpu-vm", "ssh"): ssh,
    }[tuple(argv[2:4])](argv[4:], scenario)


def create(arguments, scenario):
    del arguments
    number = count(FOLDER / "tried")
    refusals = scenario["refusals"]
    if number < len(refusals):
        return error(refusals[number])
    (FOLDER / "order").write_text("0")
    with (FOLDER / "orders").open("a") as orders:
        orders.write("accepted\n")
    for host in range(scenario["hosts"]):
        home(host).mkdir(parents=True)
    return 0


def describe_order(arguments, scenario):
    order = FOLDER / "order"
    if order.exists() and scenario["outages"] > (outages := count(FOLDER / "outages")):
        return error(f"UNAVAILABLE: outage {outages}")
    if not order.exists():
        return error(f"NOT_FOUND: Resource 'queuedResources/{arguments[0]}' was not found")
    described = int(order.read_text())
    order.write_text(str(described + 1))
    number = len((FOLDER / "orders").read_text().splitlines()) - 1
    states = scenario["states"][min(number, len(scenario["states"]) - 1)]
    state = states[min(described, len(states) - 1)]
    if (FOLDER / "preempted").exists():
        state = {"state": "SUSPENDED"}
    print(json.dumps({"name": arguments[0], "state": state}))
    return 0


def describe_node(arguments, scenario):
    del arguments
    state = "PREEMPTED" if (FOLDER / "preempted").exists() else "READY"
    print(json.dumps({"state": state, "networkEndpoints": [{}] * scenario["hosts"]}))
    return 0


def delete(arguments, scenario):
    del arguments
    if not (FOLDER / "order").exists():
        return error("NOT_FOUND: Resource was not found")
    if scenario["keeps_hosts"]:
        return error("INTERNAL: try again later")
    power_off(scenario)
    shutil.rmtree(FOLDER / "hosts")
    (FOLDER / "order").unlink()
    (FOLDER / "preempted").unlink(missing_ok=True)
    return 0


def scp(arguments, scenario):
    source, target = arguments[:2]
    for host in range(scenario["hosts"]):
        shutil.copy(source, home(host) / target.partition(":")[2])
    return 0


def ssh(arguments, scenario):
    (command,) = [a.removeprefix("--command=") for a in arguments if a.startswith("--command=")]
    hosts = range(scenario["hosts"])
    statuses = {}

    def connect(host):
        print(f"SSH: Attempting to connect to worker {host}...", file=sys.stderr, flush=True)
        statuses[host] = run_on(host, command, scenario)
        if statuses[host] == SSH_LOST and scenario["gcloud_connects_again"]:
            statuses[host] = run_on(host, command, scenario)

    threads = [threading.Thread(target=connect, args=(host,)) for host in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (FOLDER / "dropped").unlink(missing_ok=True)
    return next((statuses[host] for host in hosts if statuses[host]), 0)


def run_on(host, command, scenario):
    """Runs a command in a host's home; returns its exit status, or 255 if the host is lost."""
    if (FOLDER / "preempted").exists():
        return SSH_LOST
    process = subprocess.Popen(
        ["bash", "-c", command],
        cwd=home(host),
        env={
            "HOME": str(home(host)),
            "WORKER": str(host),
            "FAKE_CLOUD": str(FOLDER),
            "PATH": f"{FOLDER / 'host_bin'}:/usr/local/bin:/usr/bin:/bin",
        },
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    dropped = FOLDER / "dropped"
    known = dropped.exists()
    while process.poll() is None:
        time.sleep(0.02)
        if (FOLDER / "preempted").exists():
            power_off(scenario)
            time.sleep(60 if scenario["ssh_hangs"] else 0)
        elif known or not dropped.exists():
            continue
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return SSH_LOST
    return process.returncode


def power_off(scenario):
    """Ends what runs on the hosts apart from ssh."""
    for host in range(scenario["hosts"]):
        with contextlib.suppress(OSError, ValueError):
            os.killpg(int((home(host) / "hanok-run/pid").read_text()), signal.SIGKILL)


def count(path):
    """Counts in a file; returns how often that was done before."""
    before = int(path.read_text()) if path.exists() else 0
    path.write_text(str(before + 1))
    return before


def home(host):
    return FOLDER / "hosts" / str(host)


def error(text):
    print(f"ERROR: (gcloud.compute.tpus) {text}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
