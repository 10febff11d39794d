"""What is done about every state that the cloud knows, and how attempts are judged."""

import json

import pytest

from launch.cloud.decisions import (
    Action,
    Outcome,
    Slice,
    is_lost,
    judge,
    next_action,
    order_from,
    pause_seconds,
    will_pass,
    with_node,
)


@pytest.mark.parametrize(
    ("order", "node", "action", "lost"),
    [
        ("", "", Action.CREATE, True),
        ("CREATING", "", Action.WAIT, True),
        ("ACCEPTED", "", Action.WAIT, True),
        ("WAITING_FOR_RESOURCES", "", Action.WAIT, True),
        ("PROVISIONING", "", Action.WAIT, True),
        ("ACTIVE", "READY", Action.TRAIN, False),
        ("ACTIVE", "CREATING", Action.WAIT, False),
        ("ACTIVE", "REPAIRING", Action.WAIT, False),
        ("ACTIVE", "PREEMPTED", Action.DELETE, True),
        ("ACTIVE", "TERMINATED", Action.DELETE, True),
        ("ACTIVE", "STOPPED", Action.DELETE, True),
        ("ACTIVE", "", Action.DELETE, True),
        ("SUSPENDING", "", Action.WAIT, True),
        ("SUSPENDED", "", Action.DELETE, True),
        ("FAILED", "", Action.DELETE, True),
        ("DELETING", "", Action.WAIT, True),
    ],
)
def test_every_state_has_its_action(order, node, action, lost):
    seen = Slice(order, node, hosts=2)
    assert next_action(seen) is action
    assert is_lost(seen) is lost


@pytest.mark.parametrize(
    ("codes", "outcome"),
    [
        ({0: 0, 1: 0}, Outcome.DONE),
        ({0: 0, 1: 75}, Outcome.STOPPED),
        ({0: 0}, Outcome.DISCONNECTED),
        ({0: 75}, Outcome.DISCONNECTED),
        ({}, Outcome.DISCONNECTED),
        ({1: 1}, Outcome.FAILED),
        ({0: 75, 1: 3}, Outcome.FAILED),
    ],
)
def test_an_attempt_is_judged_by_the_codes_of_all_hosts(codes, outcome):
    assert judge(codes, hosts=2).outcome is outcome


def test_the_host_that_failed_first_is_to_blame():
    verdict = judge({3: 0, 2: 1, 0: 134, 1: 134}, hosts=4)
    assert (verdict.host, verdict.code) == (2, 1)


def test_only_what_all_hosts_report_of_the_experiment_is_certain():
    assert judge({0: 2, 1: 2}, hosts=2).certain
    assert judge({0: 3, 1: 3}, hosts=2).certain
    assert not judge({0: 1, 1: 1}, hosts=2).certain  # a slice that goes crashes all hosts
    assert not judge({0: 2, 1: 134}, hosts=2).certain
    assert not judge({0: 2}, hosts=2).certain


def test_the_reason_of_a_failed_order_is_read_with_its_code():
    text = json.dumps(
        {"state": {"state": "FAILED", "failedData": {"error": {"code": 3, "message": "no such"}}}}
    )
    assert order_from(text) == Slice("FAILED", reason="no such", code=3)
    assert order_from("{}") == Slice("STATE_UNSPECIFIED")


def test_a_host_is_counted_for_every_endpoint():
    node = json.dumps({"state": "READY", "networkEndpoints": [{"ipAddress": "10.0.0.2"}] * 4})
    assert with_node(Slice("ACTIVE"), node) == Slice("ACTIVE", "READY", hosts=4)


@pytest.mark.parametrize(
    "text",
    [
        'There is no more capacity in the zone "us-west4-a"; you can try in another zone',
        "Insufficient capacity.",
        "Quota limit 'TPUV5s' has been exceeded. Limit: 320 in region us-west4.",
        "HttpError accessing <https://tpu.googleapis.com/v2/…>: response: <{'status': 429}>",
        "UNAVAILABLE: The service is currently unavailable.",
        "Unable to find the server: Could not resolve host: tpu.googleapis.com",
        "no answer within 10 minutes",
    ],
)
def test_what_may_pass_is_waited_for(text):
    assert will_pass(text)


@pytest.mark.parametrize(
    "text",
    [
        "Quota limit 'TPUV6E' has been exceeded. Limit: 0 in region us-east5.",
        "PERMISSION_DENIED: Cloud TPU API has not been used in project 1 before or it is disabled.",
        "INVALID_ARGUMENT: accelerator type is not available in the zone",
        "You do not currently have an active account selected.",
    ],
)
def test_what_does_not_pass_is_not(text):
    assert not will_pass(text)


def test_codes_decide_where_words_do_not():
    assert will_pass("stockout", code=8)
    assert not will_pass("stockout", code=9)


def test_pauses_double_up_to_a_limit():
    assert [pause_seconds(n, 30) for n in (0, 1, 2, 3)] == [0, 30, 60, 120]
    assert pause_seconds(6, 30) == pause_seconds(100, 30) == 960
