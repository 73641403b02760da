# SPDX-License-Identifier: Apache-2.0
"""Goal: a Python worker does what a worker of skep does: it keeps its leases, hands back what it can not finish, goes on
through the end of its manager, and leaves nothing behind.

Method: real managers and workers, ended in every way; functions that wait for a file are as long as the test wants.
"""
import errno
import os
import pathlib
import queue
import signal
import subprocess
import threading

import fleet_functions
import pytest
import skep
from harness import QUICK, free_port, wait_until
from skep._pool import Slot
from skep.functions import load
from skep.models import Lease
from test_executor import let_go, runs


@pytest.fixture
def client(manager):
    with skep.Client(manager.url) as made:
        yield made


def enqueue(client, name, *arguments, **options):
    body = skep.JSON.dump_call(skep.codecs.Call(arguments))
    return client.enqueue(body, program=f"fleet_functions:{name}", **options).id


def children(worker):
    """Processes that a worker started, and theirs."""
    found, waiting = [], [worker.pid]
    while waiting:
        pid = waiting.pop()
        for thread in os.listdir(f"/proc/{pid}/task"):
            text = pathlib.Path(f"/proc/{pid}/task/{thread}/children").read_text()
            waiting += map(int, text.split())
            found += map(int, text.split())
    return found


def is_running(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_it_offers_what_it_lists_and_nothing_else(client, manager, start_worker):
    start_worker(manager, "--slots", "2", "--name", "ours")
    (worker,) = client.workers()
    assert (worker.name, worker.slots, worker.kinds, worker.state) == ("ours", 2, ("command",), "active")
    others = [client.enqueue(b"", program=name) for name in ("os:system", "fleet_functions:not_marked")]
    others.append(client.enqueue(b"", iterations=1))
    assert client.result(enqueue(client, "square", 3), timeout=30) == b"9"
    assert client.result(client.enqueue(b'{"args":[2],"kwargs":{"scale":3}}', program="fleet_functions:pair").id) == b"[6,0]"
    assert [client.get(task.id).state for task in others] == [skep.TaskState.QUEUED] * 3


def test_a_process_that_the_system_refuses_for_now_is_started_later(monkeypatch):
    refusals = []
    popen = subprocess.Popen

    def start(*arguments, **options):
        if refusals:
            raise BlockingIOError(errno.EAGAIN, refusals.pop())
        return popen(*arguments, **options)

    monkeypatch.setattr("skep._pool.subprocess.Popen", start)
    monkeypatch.setattr("skep._pool.LAUNCH_PAUSE", (0.01, 0.01))
    functions = load(["fleet_functions"])
    ended = queue.Queue()
    slot = Slot(["fleet_functions"], False, lambda lease, outcome: ended.put((lease.lease, outcome)))

    def call(name):
        program = "fleet_functions:square"
        slot.start(Lease(name, "task", program, 0.0, b'{"args":[3]}'), functions[program])
        lease, outcome = ended.get(timeout=40)
        assert lease == name and slot.is_free
        return outcome

    def end_process(count):
        refusals[:] = ["no more processes"] * count
        slot._process.kill()
        slot._process.wait()

    assert call("first").result == b"9"
    end_process(3)
    assert call("second").result == b"9" and not refusals
    monkeypatch.setattr("skep._pool.LAUNCH_MAX", 0.0)
    end_process(2)  # one for the call, one ahead of the next
    outcome = call("third")
    assert "could not be started" in outcome.error and "no more processes" in outcome.error and not outcome.permanent
    assert call("fourth").result == b"9"
    monkeypatch.setattr("skep._pool.send_frame", lambda *_: popen(["/nowhere"]))
    end_process(0)
    assert "No such file" in call("fifth").error
    slot.close()


def test_calls_run_beside_each_other_in_processes_of_their_own(client, manager, start_worker, tmp_path):
    worker = start_worker(manager, "--slots", "2")
    paths = [str(tmp_path / name) for name in "ab"]
    tasks = [enqueue(client, "wait_for_file", path) for path in paths]
    wait_until(lambda: all(map(runs, paths)), "both run")
    pids = {int(pathlib.Path(path + ".runs").read_text()) for path in paths}
    assert len(pids) == 2 and pids == set(children(worker))
    let_go(paths)
    assert [client.result(task, timeout=30) for task in tasks] == [b'"it is there"'] * 2
    assert int(client.result(enqueue(client, "pid"), timeout=30)) in pids


def test_a_call_that_takes_too_long_is_killed_with_all_that_it_started(client, manager, start_worker, tmp_path):
    start_worker(manager, "--slots", "1")
    task = enqueue(client, "too_slow", str(tmp_path / "pid"), max_attempts=1)
    dead = client.wait(task, timeout=30)
    assert dead.state is skep.TaskState.DEAD and dead.errors[0].end == "run_timeout" and "0.3 s" in dead.errors[0].message
    wait_until(lambda: not is_running(int((tmp_path / "pid").read_text())), "its child is gone")
    held = str(tmp_path / "held")
    slow = client.wait(enqueue(client, "wait_for_file", held, timeout=0.3, max_attempts=1), timeout=30)
    assert slow.errors[0].end == "run_timeout"
    assert client.result(enqueue(client, "square", 3), timeout=30) == b"9"


def test_what_fails_for_now_is_tried_again_and_an_exception_is_not(client, manager, start_worker, tmp_path):
    start_worker(manager, "--slots", "2")
    tasks = [enqueue(client, "dies_once", str(tmp_path / "dies")), enqueue(client, "fails_once", str(tmp_path / "r"), "retry"),
             enqueue(client, "fails_once", str(tmp_path / "o"), "error")]
    refused = client.wait(enqueue(client, "refuse", "no"), timeout=30)
    assert refused.state is skep.TaskState.DEAD and refused.attempts_failed == 1 and refused.raw["leases"] == 1
    assert refused.errors[0].message.startswith("fleet_functions.Refused: no\nTraceback")
    assert [client.result(task, timeout=30) for task in tasks] == [b'"lives"', b'"well"', b'"well"']
    seen = [client.get(task).errors[0].message for task in tasks]
    assert "SIGKILL" in seen[0] and seen[1].startswith("skep.functions.Retry: not yet")


def test_a_cancel_frees_the_place_at_once(client, manager, start_worker, tmp_path):
    start_worker(manager, "--slots", "1")
    path = str(tmp_path / "held")
    task = enqueue(client, "wait_for_file", path)
    wait_until(lambda: runs(path), "it runs")
    client.cancel(task)
    assert client.result(enqueue(client, "square", 3), timeout=3) == b"9"


def test_sigterm_finishes_what_runs_and_hands_back_what_waits(client, manager, start_worker, tmp_path):
    worker = start_worker(manager, "--slots", "1")
    for number in range(20):  # many short ones: it fetches ahead
        enqueue(client, "square", number)
    paths = [str(tmp_path / name) for name in "abc"]
    tasks = [enqueue(client, "wait_for_file", path) for path in paths]
    wait_until(lambda: runs(paths[0]), "the first one runs")
    worker.signal(signal.SIGTERM)
    wait_until(lambda: "drains" in worker.log(), "it drains")
    later = enqueue(client, "square", 3)
    wait_until(lambda: all(client.get(task).state is skep.TaskState.QUEUED for task in tasks[1:]), "they are back")
    let_go(paths[:1])
    assert worker.wait(10) == 0, worker.log()
    assert client.get(tasks[0]).state is skep.TaskState.DONE
    for task in (*tasks[1:], later):
        seen = client.get(task)
        assert (seen.state, seen.attempts_failed, seen.workers_lost) == (skep.TaskState.QUEUED, 0, 0)
    assert client.workers() == [] and not any(map(runs, paths[1:]))


def test_what_does_not_end_in_time_is_handed_back_without_an_attempt(client, manager, start_worker, tmp_path):
    paths = [str(tmp_path / name) for name in "ab"]
    for path, arguments, signals in ((paths[0], ["--drain-timeout", "0.3"], 1), (paths[1], [], 2)):
        worker = start_worker(manager, "--slots", "1", *arguments)
        task = enqueue(client, "wait_for_file", path)
        wait_until(lambda: runs(path), "it runs")
        pids = children(worker)
        for count in range(signals):
            worker.signal(signal.SIGTERM)
            wait_until(lambda: "drains" in worker.log(), "it drains")
        assert worker.wait(5) == 0, worker.log()
        seen = client.get(task)
        assert (seen.state, seen.attempts_failed) == (skep.TaskState.QUEUED, 0) and seen.errors[0].end == "released"
        assert not any(map(is_running, pids))
        client.cancel(task)


def test_a_managers_order_to_drain_is_followed(client, manager, start_worker, tmp_path):
    worker = start_worker(manager, "--slots", "1")
    (known,) = client.workers()
    path = str(tmp_path / "held")
    task = enqueue(client, "wait_for_file", path)
    wait_until(lambda: runs(path), "it is full, and asks for nothing")
    assert manager.http().post(f"/v1/workers/{known.id}:drain").status == 200
    wait_until(lambda: "drains" in worker.log(), "it is told", 3)
    let_go([path])
    assert worker.wait(5) == 0 and client.workers() == []
    assert client.get(task).state is skep.TaskState.DONE


def test_results_are_kept_as_long_as_no_manager_takes_them(lab, monkeypatch, caplog, tmp_path):
    monkeypatch.setattr(skep.worker, "CALL_MAX", 0.2)
    monkeypatch.setenv("PYTHONPATH", os.path.dirname(__file__))
    port = free_port()
    manager = lab.manager(QUICK, port=port)
    worker = skep.Worker(["fleet_functions"], manager.url, slots=1)
    assert worker._polls._managers is worker._beats._managers is worker._calls._managers, "they move on together"
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    try:
        with skep.Client(manager.url) as client:
            path = str(tmp_path / "held")
            task = enqueue(client, "wait_for_file", path)
            wait_until(lambda: runs(path), "it runs")
            manager.kill()
            let_go([path])
            wait_until(lambda: caplog.text.count("not delivered yet") >= 3, "it tries")
            lab.manager(QUICK, port=port)
            assert client.result(task, timeout=30) == b'"it is there"' and runs(path) == 1
    finally:
        worker.drain()
        thread.join(30)
    assert not thread.is_alive()


def test_it_goes_on_when_its_manager_is_killed(lab, start_worker, tmp_path):
    port = free_port()
    manager = lab.manager(QUICK, port=port)
    worker = start_worker(manager, "--slots", "1")
    with skep.Client(manager.url) as client:
        path = str(tmp_path / "held")
        task = enqueue(client, "wait_for_file", path)
        wait_until(lambda: runs(path), "it runs")
        manager.kill()
        let_go([path])
        lab.manager(QUICK, port=port)
        assert client.result(task, timeout=30) == b'"it is there"'
        assert runs(path) == 1 and client.result(enqueue(client, "square", 3), timeout=30) == b"9"
    assert worker.log(100_000).count("registered") == 2


def test_it_goes_to_another_manager_with_all_its_calls(lab, start_worker):
    first, second = lab.manager(QUICK), lab.manager(QUICK, directory=lab.path("second"))
    worker = start_worker(f"{first.url},{second.url}", "--slots", "1")
    with skep.Client(first.url) as client:
        assert client.result(enqueue(client, "square", 3), timeout=30) == b"9"
    first.kill()
    with skep.Client(second.url) as client:
        assert client.result(enqueue(client, "square", 4), timeout=10) == b"16"
        assert len(client.workers()) == 1
    assert worker.log(100_000).count("registered") == 2


def test_a_killed_worker_leaves_no_process_and_its_tasks_run_elsewhere(client, manager, start_worker, tmp_path):
    worker = start_worker(manager, "--slots", "1")
    path = str(tmp_path / "held")
    task = enqueue(client, "wait_for_file", path)
    wait_until(lambda: runs(path), "it runs")
    pids = children(worker)
    worker.kill()
    wait_until(lambda: not any(map(is_running, pids)), "its processes are gone", 5)
    start_worker(manager, "--slots", "1")
    wait_until(lambda: runs(path) == 2, "it runs elsewhere")
    let_go([path])
    assert client.result(task, timeout=30) == b'"it is there"' and client.get(task).attempts_failed == 0


def test_answers_that_are_lost_change_nothing(client, manager, start_worker, relay):
    bad = relay(manager.address)
    start_worker(bad.url, "--slots", "1")
    tasks = []
    for number in range(2):
        bad.answers = ["swallow", "503", "swallow"]
        tasks.append(enqueue(client, "square", number))
        assert client.result(tasks[-1], timeout=30) == b"%d" % (number * number)
    assert all(client.get(task).attempts_failed == 0 for task in tasks)


def test_without_a_manager_it_ends_by_itself(lab, start_worker):
    worker = start_worker(f"http://127.0.0.1:{free_port()}", "--slots", "1", "--orphan-timeout", "0.5",
                          is_let_in=False)
    assert worker.wait(10) == 0 and "no manager" in worker.log()


# ---- traces ----

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACE = {"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01", "tracestate": "congo=t61rcWkgMzE"}


def test_a_function_knows_the_trace_of_its_task_and_of_no_other(client, manager, start_worker):
    worker = start_worker(manager, "--slots", "1",
                          environment={"TRACEPARENT": TRACE["traceparent"], "SKEP_MANAGER": manager.url})
    assert skep.JSON.load_result(client.result(enqueue(client, "trace", trace=TRACE), timeout=30)) == TRACE
    assert skep.JSON.load_result(client.result(enqueue(client, "trace"), timeout=30)) == {}, "not the worker's own either"
    (handed,) = skep.JSON.load_result(client.result(enqueue(client, "hand_on", 1, trace=TRACE), timeout=30))
    assert client.get(handed).trace == TRACE
    dead = client.wait(enqueue(client, "refuse", "no", trace=TRACE), timeout=30)
    assert dead.state is skep.TaskState.DEAD
    wait_until(lambda: f"task {dead.id} fails" in worker.log(), "the failure is logged")
    assert any(TRACE_ID in line for line in worker.log().splitlines() if f"task {dead.id} fails" in line)


def test_an_executor_sends_the_trace_of_who_submits(manager, start_worker):
    start_worker(manager)
    traces = iter([TRACE, None])
    with skep.Executor(manager.url, trace=lambda: next(traces)) as fleet:
        calls = [fleet.submit(fleet_functions.trace) for _ in range(2)]
        assert [call.result(timeout=30) for call in calls] == [TRACE, {}]
