"""One of those who want a lease gets it, and the dead don't keep it."""

import contextlib
import logging
import time

import pytest
import tensorstore

from research.errors import UserError
from research.lease import NAME, Lease

BEAT = 0.05


@pytest.fixture
def store():
    # Checks generations as a bucket does.
    return tensorstore.KvStore.open("memory://run/").result()


def lease(store):
    return Lease(store, "gs://bucket/run", BEAT)


def leave_behind(store):
    """Lets a holder die: its object stays, and is no longer written."""
    dead = lease(store)
    with dead.held():
        content = store.read(NAME).result().value
    store.write(NAME, content).result()
    return dead


def test_a_second_writer_is_refused_and_told_who_holds_it(store):
    refused = pytest.raises(UserError, match=r"gs://bucket/run is being written by .*process \d+")
    with lease(store).held(), refused, lease(store).held():
        pass


def test_what_was_released_is_free_at_once(store, caplog):
    caplog.set_level(logging.INFO)
    for _ in range(2):
        with lease(store).held():
            pass
    assert caplog.text == ""
    assert store.read(NAME).result().state == "missing"


def test_it_is_released_when_the_block_fails(store):
    with contextlib.suppress(ZeroDivisionError), lease(store).held():
        raise ZeroDivisionError
    assert store.read(NAME).result().state == "missing"


def test_a_dead_holder_is_succeeded_and_it_is_said_why_that_takes_a_while(store, caplog):
    caplog.set_level(logging.INFO)
    leave_behind(store)
    with lease(store).held():
        assert "was not released by process" in caplog.text


def test_of_two_who_find_a_dead_holder_one_gets_it(store):
    leave_behind(store)
    one, other = lease(store), lease(store)
    seen = one._abandoned()
    assert one._write(seen)
    assert not other._write(seen)


def test_a_holder_that_was_taken_for_dead_notices_and_leaves_the_other_alone(store):
    cut_off = lease(store)
    with cut_off.held():
        store.write(NAME, b"another's").result()
        deadline = time.monotonic() + 60
        while not cut_off._taken_over and time.monotonic() < deadline:
            time.sleep(BEAT)
        with pytest.raises(UserError, match="another one has taken over gs://bucket/run"):
            cut_off.check()
    assert store.read(NAME).result().value == b"another's"


def test_an_answer_that_got_lost_is_no_loss_of_the_lease(store):
    class Deaf:
        """Writes, but says that the generation was another."""

        def __getattr__(self, name):
            return getattr(store, name)

        def write(self, *arguments, **conditions):
            store.write(*arguments, **conditions).result()
            return store.write("other", b"", if_equal=b"\x00 no such generation")

    holder = lease(Deaf())
    with holder.held():
        holder._released.wait(4 * BEAT)
        holder.check()
