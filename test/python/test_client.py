# SPDX-License-Identifier: Apache-2.0
"""Goal: Client keeps its promises, whatever happens to answers, connections and managers.

Method: a real manager, killed, stopped and restarted; relays that lose answers, say 503, or fall silent.
"""
import array
import itertools
import random
import signal
import threading
import time

import pytest
import skep
from harness import QUICK, free_port, reference, wait_until
from skep import _calls
from skep._managers import parse_managers
from skep._retry import BACK_OFF_MAX, Failure, RetryPolicy
from skep.client import BATCH_BYTES

GRACE = 1.0  # of this machine, on top of what is promised


@pytest.fixture
def client(manager):
    with skep.Client(manager.url) as made:
        yield made


def tasks_in(client, **query):
    return list(client.tasks(**query))


# ---- what calls do ----

def test_a_task_goes_in_and_its_result_comes_out(lab):
    manager = lab.manager(["--max-workers", "1", *QUICK], command="up")
    with skep.Client(manager.url) as client:
        enqueued = client.enqueue(b"a body", iterations=1000, queue="q", priority=9, tags=("one", "two"), max_attempts=2)
        assert (enqueued.state, enqueued.existing) == (skep.TaskState.QUEUED, False)
        assert client.result(enqueued.id, timeout=60).decode() == reference(b"a body", 1000)
        task = client.get(enqueued.id)
        assert task.state is skep.TaskState.DONE and task.result.decode() == reference(b"a body", 1000)
        assert (task.queue, task.kind, task.priority, task.tags) == ("q", "sha512", 9, ("one", "two"))
        assert task.iterations == 1000 and task.body_bytes == 6 and task.errors == ()
        assert task.enqueued_at <= task.finished_at and task.enqueued_at.tzinfo is not None
        assert abs(task.enqueued_at.timestamp() - time.time()) < 60
        assert [worker.state for worker in client.workers()] == ["active"]
        status = client.status()
        assert status.tasks.done == 1 and status.tasks.unfinished == 0 and status.workers_active == 1


TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "congo=t61rcWkgMzE"}
OTHER = {"traceparent": "00-1bf7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}


def test_a_trace_is_sent_by_the_client_or_with_a_task(manager):
    asked = iter([TRACE, None, {}, {"tracestate": "a=1"}, {"traceparent": "broken\r\nX: 1"}, TRACE, TRACE, TRACE])
    with skep.Client(manager.url, trace=lambda: next(asked)) as client:
        def trace_of(**options):
            return client.get(client.enqueue(b"", iterations=1, **options).id).trace

        assert trace_of() == TRACE
        assert [trace_of() for _ in range(4)] == [{}] * 4, "none, or none that can be sent"
        assert trace_of(trace=OTHER) == OTHER
        for tasks, expected in (([{}, {}], [TRACE, TRACE]), ([{}, {"trace": OTHER}], [TRACE, OTHER])):
            replies = client.enqueue_many(skep.NewTask(iterations=1, **task) for task in tasks)
            assert [client.get(reply.id).trace for reply in replies] == expected


def test_one_trace_for_a_whole_batch_goes_into_its_headers():
    def batch(*traces):
        return _calls.enqueue_batch([skep.NewTask(iterations=1, trace=trace) for trace in traces])

    assert batch(TRACE, TRACE).headers.items() >= TRACE.items() and b"traceparent" not in batch(TRACE, TRACE).body
    assert "traceparent" not in batch(TRACE, OTHER).headers and batch(TRACE, OTHER).body.count(b"traceparent") == 2
    assert "traceparent" not in batch({}, {}).headers and b"traceparent" not in batch({}, {}).body


def test_cancel_retry_list_and_queues(client):
    first = client.enqueue(b"1", iterations=1, queue="a")
    second = client.enqueue(b"2", program="nobody:lists", queue="b", delay=3600, tags=["late"])
    assert second.state is skep.TaskState.DELAYED
    assert [task.id for task in client.tasks(queue="a")] == [first.id]
    assert [task.id for task in client.tasks(state="delayed")] == [second.id]
    assert [task.id for task in client.tasks(tag="late")] == [second.id]
    assert client.cancel(first.id).state is skep.TaskState.CANCELLED
    assert client.cancel(first.id).state is skep.TaskState.CANCELLED
    with pytest.raises(skep.TaskCancelled) as cancelled:
        client.result(first.id)
    assert cancelled.value.task.id == first.id
    with pytest.raises(skep.Conflict):
        client.retry(first.id)
    assert {queue.name: queue.tasks.unfinished for queue in client.queues()} == {"a": 0, "b": 1}
    limited = client.configure_queue("b", max_depth=1, retention=1.5)
    assert (limited.max_depth, limited.retention) == (1, 1.5)


def test_wait_ends_in_time_and_keeps_its_word(client):
    task = client.enqueue(b"", program="nobody:lists").id
    began = time.monotonic()
    with pytest.raises(TimeoutError) as late:
        client.wait(task, timeout=0.2)
    assert 0.2 <= time.monotonic() - began < 0.2 + GRACE
    assert task in str(late.value) and isinstance(late.value, skep.CallTimeout)
    began = time.monotonic()
    threading.Timer(0.2, client.cancel, [task]).start()
    assert client.wait(task, timeout=30).state is skep.TaskState.CANCELLED
    assert time.monotonic() - began < 0.2 + GRACE  # it is told, and does not ask again and again


def test_errors_are_what_they_are(client):
    with pytest.raises(skep.NotFound) as missing:
        client.get("00000g00000000000001")
    assert missing.value.status == 404 and missing.value.code == "not_found" and isinstance(missing.value, LookupError)
    with pytest.raises(skep.InvalidRequest):
        client.enqueue(b"", iterations=0)
    with pytest.raises(skep.InvalidRequest):
        client.enqueue(b"", iterations=1, queue="no blanks here")
    with pytest.raises(skep.Conflict):
        client._run(skep.client._calls.result(client.enqueue(b"", iterations=1).id))
    for wrong in (dict(), dict(iterations=1, program="p"), dict(iterations=1, key="no blanks")):
        with pytest.raises(ValueError):
            client.enqueue(b"", **wrong)
    with pytest.raises(TypeError):
        client.enqueue(b"", iterations=1, tags="one")
    with pytest.raises(ValueError):
        client.enqueue(bytes(skep.models.BODY_BYTES_MAX + 1), iterations=1)
    for url in ("127.0.0.1:8080", "ftp://x", "http://user@host:1", "http://"):
        with pytest.raises(ValueError):
            skep.Client(url)


def test_a_key_names_one_task(client):
    first = client.enqueue(b"1", iterations=1, key="k")
    again = client.enqueue(b"1", iterations=1, key="k")
    assert again.id == first.id and again.existing
    assert client.enqueue(b"1", iterations=1, key="other").id != first.id
    assert client.enqueue(b"1", iterations=1).id != client.enqueue(b"1", iterations=1).id


def test_a_stream_is_enqueued_in_bounded_batches(client):
    taken = itertools.count()
    endless = (skep.NewTask(b"%d" % next(taken), iterations=1) for _ in itertools.count())
    stream = client.enqueue_stream(endless, batch_tasks=10)
    assert len(tasks_in(client)) == 0  # nothing before it is asked for
    ids = [reply.id for reply in itertools.islice(stream, 25)]
    assert len(set(ids)) == 25 and next(taken) <= 31
    assert len(tasks_in(client)) == 30


def test_many_are_enqueued_in_order_with_all_that_they_say(client):
    tasks = [skep.NewTask(bytes([i % 256]) * (i % 3), iterations=i + 1, priority=i % 10, delay=3600 if i % 2 else 0,
                          tags=(f"t{i % 7}",), key=f"key-{i}", checkpoint=False) for i in range(2500)]
    ids = [reply.id for reply in client.enqueue_many(iter(tasks))]
    seen = {task.id: task for task in client.tasks()}
    assert len(seen) == 2500
    for task, name in zip(tasks, ids):
        found = seen[name]
        assert (found.iterations, found.priority, found.tags) == (task.iterations, task.priority, tuple(task.tags))
        assert found.body_bytes == len(task.body) and found.raw["options"]["checkpoint"] is False
        assert (found.state is skep.TaskState.DELAYED) == (task.delay > 0)
    assert client.enqueue_many([]) == []


def test_large_bodies_and_results_go_through(lab):
    manager = lab.manager(["--max-workers", "1", "--command", "copy=/bin/cat", *QUICK], command="up")
    body = random.Random(1).randbytes(1 << 20)
    with skep.Client(manager.url) as client:
        replies = client.enqueue_many(skep.NewTask(body[i:] + body[:i], program="copy") for i in range(26))
        assert len(replies) == 26  # in several requests: one may have 33 MiB
        for i, reply in enumerate(replies[:3]):
            assert client.result(reply.id, timeout=60) == body[i:] + body[:i]
        found = {result.id: result.result for result in client.pull(wait=20, limit=26)}
        assert found == {reply.id: body[i:] + body[:i] for i, reply in enumerate(replies)}


# ---- pull ----

@pytest.fixture
def hasty(lab):
    """A client of a manager with twelve results, which come again after 2 s."""
    manager = lab.manager(["--max-workers", "1", "--visibility", "2s", *QUICK], command="up")
    with skep.Client(manager.url) as client:
        client.enqueue_many(skep.NewTask(b"%d" % i, iterations=1) for i in range(12))
        wait_until(lambda: client.status().tasks.done == 12, "all are done")
        yield client


def test_what_was_handled_is_acknowledged_and_what_was_not_comes_again(hasty):
    handled = []
    with pytest.raises(RuntimeError):
        for result in hasty.pull(wait=0, batch=12):
            if len(handled) == 5:
                raise RuntimeError("the sixth can not be handled")
            handled.append(result.id)
    with hasty.pull(wait=0) as rest:
        assert list(rest) == []  # they are with the one that failed, for now
    again = [result.id for result in hasty.pull(wait=10, limit=7)]
    assert len(again) == 7 and not set(again) & set(handled)
    assert hasty.status().tasks.undelivered == 0


def test_a_pull_ends_by_limit_by_break_and_by_silence(hasty):
    assert len(list(hasty.pull(limit=4))) == 4
    with hasty.pull(wait=0, batch=1) as results:
        for result in results:
            results.ack()
            break
    assert hasty.status().tasks.undelivered == 7
    began = time.monotonic()
    assert len(list(hasty.pull(wait=0.3, batch=2))) == 7
    assert time.monotonic() - began >= 0.3
    assert list(hasty.pull(queue="another", wait=0)) == []


def test_acknowledgements_that_could_not_be_sent_are_sent_later(hasty, relay):
    bad = relay(hasty.manager.rpartition("/")[2])
    with skep.Client(bad.url, timeout=0.3) as client:
        stream = client.pull(wait=0, batch=12)
        handled = [next(stream).id for _ in range(4)]
        stream.ack()
        bad.answers = ["503"] * 1000
        with pytest.raises(skep.Unavailable):
            stream.close()
        bad.answers = []
        stream.close()
    assert hasty.status().tasks.undelivered == 8 and len(handled) == 4


def test_results_that_are_not_ours_any_more_are_not_given(hasty):
    """Who handles slowly would else do what another does, too."""
    stream = hasty.pull(wait=0, batch=12)
    first = next(stream)
    with skep.Client(hasty.manager) as other:
        others = [result.id for result in other.pull(wait=4, limit=12)]  # waits until they come again
    assert first.id in others and len(others) == 12
    assert list(stream) == []


# ---- what goes wrong ----

def test_an_enqueue_whose_answer_is_lost_is_one_task(manager, relay):
    bad = relay(manager.address, ["swallow", "swallow"])
    with skep.Client(bad.url) as client:
        one = client.enqueue(b"once", iterations=1)
        assert bad.requests == 3 and one.existing
        bad.answers = ["swallow"]
        many = client.enqueue_many(skep.NewTask(b"%d" % i, iterations=1) for i in range(50))
        assert len({reply.id for reply in many}) == 50
        assert len(tasks_in(client)) == 51


def test_a_manager_that_says_503_is_asked_again_when_it_wants(manager, relay):
    bad = relay(manager.address, ["503"], retry_after=1)
    with skep.Client(bad.url) as client:
        began = time.monotonic()
        client.enqueue(b"", iterations=1)
        assert 1.0 <= time.monotonic() - began < 1.0 + GRACE
    always = relay(manager.address, ["503"] * 1000, retry_after=0)
    with skep.Client(always.url, timeout=0.5) as client:
        began = time.monotonic()
        with pytest.raises(skep.Unavailable) as said:
            client.status()
        assert said.value.status == 503 and time.monotonic() - began < 0.5 + GRACE
    with skep.Client([always.url, manager.url]) as client:
        began = time.monotonic()
        client.status()
        assert time.monotonic() - began < GRACE and client.manager == manager.url


def test_it_moves_on_from_a_manager_that_is_gone_or_hangs_within_a_second(manager, relay):
    gone = f"http://127.0.0.1:{free_port()}"
    for dead in (gone, relay(manager.address, ["hang"]).url):
        took = []
        for _ in range(3):
            with skep.Client(f"{dead},{manager.url}") as client:
                client._managers.move_to(dead.rpartition("/")[2])
                began = time.monotonic()
                client.status()
                took.append(time.monotonic() - began)
                assert client.manager == manager.url
                client.status()
                assert client.manager == manager.url  # it stays there
        assert min(took) < 1.0, took


def test_many_clients_prefer_each_manager_alike_and_come_back_to_it_one_by_one(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("skep._managers.time.monotonic", lambda: now[0])
    addresses = parse_managers("http://a:1,http://b:1,http://c:1")
    clients = [skep.Client("http://a:1,http://b:1,http://c:1") for _ in range(300)]
    lists = [client._managers for client in clients]
    first = [managers.choose() for managers in lists]
    assert all(60 <= first.count(address) <= 140 for address in addresses), first
    for managers in lists:
        managers.move_on_from(addresses[0])
    moved = [managers.choose() for managers in lists]
    assert addresses[0] not in moved and all(110 <= moved.count(address) <= 190 for address in addresses[1:])
    back = []  # in each second
    while [managers.choose() for managers in lists] != first:
        now[0] += 1.0
        back.append([managers.choose() for managers in lists].count(addresses[0]) - sum(back))
        assert len(back) < 10
    assert max(back) <= sum(back) / 2, back
    # One that goes on failing is tried less and less often.
    managers = lists[first.index(addresses[0])]
    left = now[0]
    for _ in range(6):
        managers.move_on_from(addresses[0])
        left = now[0]
        while managers.choose() != addresses[0]:
            now[0] += 1.0
    assert 30 <= now[0] - left <= 91
    for client in clients:
        client.close()


def test_a_body_is_measured_in_bytes():
    bees = [skep.NewTask("\U0001F41D" * (1 << 18), iterations=1)] * 16  # 1 MiB each
    sizes = [len(_calls.enqueue_batch(batch).body) for batch in _calls.batches(bees, 1000, BATCH_BYTES)]
    assert len(sizes) == 2 and max(sizes) < 33 << 20
    with pytest.raises(ValueError, match="at most"):
        skep.NewTask("\u00e9" * (1 << 19) + "e", iterations=1)
    with pytest.raises(ValueError, match="at most"):
        skep.NewTask(memoryview(array.array("Q", [0] * (1 << 18))), iterations=1)
    body = bytearray(b"as it was")
    task = skep.NewTask(body, iterations=1)
    body[:2] = b"is"
    assert task.body == task.data == b"as it was"


def test_a_long_poll_moves_on_when_its_manager_stops(lab, manager):
    other = lab.manager(QUICK, directory=lab.path("other"))
    with skep.Client([manager.url, other.url]) as client:
        client._managers.move_to(manager.address)
        client.status()
        ended = []
        thread = threading.Thread(target=lambda: ended.append(list(client.pull(wait=1))))
        thread.start()
        wait_until(lambda: client._session._busy, "it waits")
        manager.signal(signal.SIGSTOP)
        try:
            thread.join(20)
            assert ended == [[]] and client.manager == other.url
        finally:
            manager.signal(signal.SIGCONT)


def test_a_restarted_manager_is_the_same_to_its_clients(lab):
    port = free_port()
    manager = lab.manager(QUICK, port=port)
    replies, problems = [], []

    def enqueue(number):
        try:
            with skep.Client(manager.url) as client:
                for i in range(40):
                    replies.append(client.enqueue(b"%d-%d" % (number, i), iterations=1).id)
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=enqueue, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for count in (20, 80):
        wait_until(lambda: len(replies) >= count or problems, "some are enqueued")
        manager.kill()
        manager = lab.manager(QUICK, port=port)
    for thread in threads:
        thread.join(60)
    assert not problems and len(set(replies)) == 160
    with skep.Client(manager.url) as client:
        assert {task.id for task in client.tasks()} == set(replies)


def test_idle_connections_are_used_again_and_dead_ones_are_not(lab):
    port = free_port()
    manager = lab.manager(QUICK, port=port)
    with skep.Client(manager.url) as client:
        client.status()
        (kept,) = client._session._idle.values()
        first = kept[0]
        client.status()
        assert kept == [first]
        manager.kill()
        lab.manager(QUICK, port=port)
        began = time.monotonic()
        client.status()
        assert time.monotonic() - began < GRACE and first not in kept


def test_a_kept_connection_that_breaks_is_replaced_without_a_pause(manager, relay, monkeypatch):
    """It was closed while it was idle, as far as one can tell: that says nothing of the manager."""
    bad = relay(manager.address, ["pass", "swallow"])
    monkeypatch.setattr(RetryPolicy, "after", None)
    with skep.Client(bad.url) as client:
        client.status()
        client.status()
        assert bad.requests == 3


def test_close_ends_calls_under_way(client):
    task = client.enqueue(b"", program="nobody:lists").id
    ended = []

    def wait():
        try:
            client.wait(task)
        except skep.ClientClosed as error:
            ended.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    wait_until(lambda: client._session._busy, "it waits")
    client.close()
    thread.join(5)
    assert len(ended) == 1
    with pytest.raises(skep.ClientClosed):
        client.status()


# ---- the policy ----

def failure(code="unavailable", is_answer=False, retry_after=None):
    return Failure(skep.SkepError("test", code=code), is_answer, retry_after)


def test_pauses_double_with_full_jitter_up_to_5_s():
    policy = RetryPolicy(float("inf"), random.Random(1))
    caps = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, BACK_OFF_MAX, BACK_OFF_MAX]
    pauses = [policy.after(failure(), 1, 100.0).at - 100.0 for _ in caps]
    assert all(0 <= pause <= cap for pause, cap in zip(pauses, caps))
    drawn = [RetryPolicy(float("inf"), random.Random(seed)).after(failure(), 1, 0.0).at for seed in range(200)]
    assert min(drawn) < 0.01 and max(drawn) > 0.09


def test_a_round_tries_each_manager_once_and_the_earliest_retry_after_counts():
    policy = RetryPolicy(float("inf"), random.Random(1))
    assert policy.after(failure(is_answer=True, retry_after=9.0), 3, 0.0) == (False, True, 0.0)
    assert policy.after(failure(is_answer=True, retry_after=3.0), 3, 0.0) == (False, True, 0.0)
    assert policy.after(failure(is_answer=True, retry_after=7.0), 3, 0.0) == (False, True, 3.0)
    step = RetryPolicy(float("inf"), random.Random(1)).after(failure("exhausted", True, 2.0), 3, 0.0)
    assert step == (False, False, 2.0)  # another manager would say the same
    assert RetryPolicy(float("inf"), random.Random(1)).after(failure(is_answer=True, retry_after=9e9), 1, 0.0).at == 60.0


def test_what_can_not_be_mended_is_not_repeated():
    for code in ("invalid", "not_found", "conflict", "stale_lease", "corrupt", "internal", "unauthenticated", "forbidden", "too_large"):
        assert RetryPolicy(float("inf"), random.Random(1)).after(failure(code, True), 1, 0.0).is_over
    for code in ("exhausted", "unavailable", "fenced", "timeout", "unknown_outcome"):
        assert not RetryPolicy(float("inf"), random.Random(1)).after(failure(code, True), 1, 0.0).is_over
        assert RetryPolicy(0.0, random.Random(1)).after(failure(code, True), 1, 0.0).is_over


def test_addresses_come_from_arguments_and_the_environment(monkeypatch):
    assert [str(address) for address in parse_managers("http://a:1, https://b/x/")] == ["http://a:1", "https://b:443/x"]
    assert [str(address) for address in parse_managers(["http://[::1]:5"])] == ["http://[::1]:5"]
    monkeypatch.setenv("SKEP_MANAGER", "http://c:3")
    assert [str(address) for address in parse_managers(None)] == ["http://c:3"]
    monkeypatch.setenv("SKEP_MANAGER", "")
    assert [str(address) for address in parse_managers(None)] == ["http://127.0.0.1:8080"]
