# SPDX-License-Identifier: Apache-2.0
"""Goal: Executor is a concurrent.futures executor over the fleet, and loses nothing when parts of it die.

Method: a real manager and Python workers, killed and restarted; the functions are in fleet_functions.py.
"""
import concurrent.futures
import math
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import fleet_functions
import pytest
import skep
from conftest import SOURCE
from harness import QUICK, free_port, wait_until
from skep.functions import load, name_of


@pytest.fixture(scope="module")
def fleet():
    """A manager and a worker of two slots, which tests that break nothing share."""
    from conftest import Lab, python_worker
    with Lab() as lab:
        manager = lab.manager(QUICK)
        python_worker(lab, manager, "--slots", "2", functions=("fleet_functions", "math:factorial"))
        yield manager


@pytest.fixture
def executor(fleet):
    with skep.Executor(fleet.url) as made:
        yield made


def hold(executor, directory, count, name="hold"):
    """Futures of calls that wait for a file, the paths of the files."""
    paths = [os.path.join(directory, f"{name}{i}") for i in range(count)]
    return [executor.submit(fleet_functions.wait_for_file, path) for path in paths], paths


def runs(path):
    """How often a call of wait_for_file began."""
    return len(pathlib.Path(path + ".runs").read_text().split()) if os.path.exists(path + ".runs") else 0


def let_go(paths):
    for path in paths:
        pathlib.Path(path).touch()


# ---- what it does ----

def test_map_gives_results_in_the_order_of_the_inputs(executor):
    assert list(executor.map(fleet_functions.square, range(200))) == [i * i for i in range(200)]
    assert list(executor.map(math.factorial, [20])) == [math.factorial(20)]
    assert list(executor.map(fleet_functions.pair, [1, 2], [3, 4])) == [[1, 3], [2, 4]]
    assert list(executor.map(fleet_functions.square, [])) == []


def test_chunks_are_one_task_each(fleet, executor):
    with skep.Client(fleet.url) as client:
        assert list(executor.map(fleet_functions.square, range(1001), chunksize=100)) == [i * i for i in range(1001)]
        assert sum(1 for _ in client.tasks(queue=executor.queue)) == 11


def test_submit_takes_names_and_keywords(executor):
    assert executor.submit(fleet_functions.pair, 2, second=3, scale=10).result(30) == [20, 30]
    assert executor.submit("fleet_functions:square", 12).result(30) == 144
    assert executor.submit(fleet_functions.upper, b"bytes \xff").result(30) == b"BYTES \xff"


def test_as_completed_and_wait_work(executor, tmp_path):
    (held,), paths = hold(executor, tmp_path, 1)
    quick = [executor.submit(fleet_functions.square, i) for i in range(5)]
    assert {future.result() for future in concurrent.futures.as_completed(quick, timeout=30)} == {0, 1, 4, 9, 16}
    done, not_done = concurrent.futures.wait([held, *quick], timeout=0.1)
    assert done == set(quick) and not_done == {held}
    let_go(paths)
    done, not_done = concurrent.futures.wait([held, *quick], return_when=concurrent.futures.ALL_COMPLETED, timeout=30)
    assert not not_done and held.result() == "it is there"


def test_exceptions_are_carried(executor):
    began = time.monotonic()
    zero = executor.submit(fleet_functions.divide, 1, 0).exception(30)
    assert type(zero) is ZeroDivisionError and str(zero) == "division by zero"
    assert "fleet_functions.py" in str(zero.__cause__)
    assert time.monotonic() - began < 3, "an exception is an answer: it is not tried again"
    ours = executor.submit(fleet_functions.refuse, "no: really").exception(30)
    assert type(ours) is fleet_functions.Refused and str(ours) == "no: really"
    with pytest.raises(TypeError):
        executor.submit(fleet_functions.square).result(30)
    with pytest.raises(TypeError):
        executor.submit(fleet_functions.not_json).result(30)
    with pytest.raises(ValueError, match="at most"):
        executor.submit(fleet_functions.large, 2 << 20).result(30)
    failed = [executor.submit(fleet_functions.divide, i, 0) for i in range(100)]
    assert all(isinstance(future.exception(30), ZeroDivisionError) for future in failed)


def test_an_exception_of_a_class_that_is_not_here_is_a_remote_error(executor, monkeypatch):
    monkeypatch.delattr(fleet_functions, "Refused")
    with pytest.raises(skep.RemoteError) as error:
        executor.submit("fleet_functions:refuse", "no").result(30)
    assert (error.value.type_name, error.value.message) == ("fleet_functions.Refused", "no")


def test_an_exception_out_of_map_cancels_the_rest(executor, tmp_path):
    results = executor.map(fleet_functions.divide, [4, 4, 4], [2, 0, 1])
    assert next(results) == 2
    with pytest.raises(ZeroDivisionError):
        next(results)
    paths = [str(tmp_path / f"m{i}") for i in range(4)]
    with pytest.raises(TimeoutError if sys.version_info >= (3, 11) else concurrent.futures.TimeoutError):
        list(executor.map(fleet_functions.wait_for_file, paths, timeout=0.5))
    assert executor._is_idle(), "what map began it ends"


def test_what_has_no_name_is_refused_at_once(executor):
    def local():
        pass

    for nameless in (lambda: 0, local, "".join, [].append):
        with pytest.raises(ValueError):
            executor.submit(nameless)
    with pytest.raises(TypeError):
        executor.submit(fleet_functions.square, {1, 2})
    with pytest.raises(ValueError):
        executor.submit(fleet_functions.square, "x" * (1 << 20))
    assert name_of(fleet_functions.square) == "fleet_functions:square" and name_of(math.factorial) == "math:factorial"


# ---- cancel, shutdown ----

def test_what_runs_and_what_waits_can_be_cancelled(executor, tmp_path):
    futures, paths = hold(executor, tmp_path, 4)
    wait_until(lambda: runs(paths[0]) and runs(paths[1]), "two run")
    assert futures[0].cancel() and futures[3].cancel() and futures[0].cancelled()
    with pytest.raises(concurrent.futures.CancelledError):
        futures[3].result()
    assert futures[0] in concurrent.futures.wait(futures, timeout=0).done
    wait_until(lambda: runs(paths[2]), "its place is free", 3)
    let_go(paths)
    assert [future.result(30) for future in futures[1:3]] == ["it is there"] * 2
    assert not futures[1].cancel()


def test_what_others_cancel_is_cancelled(fleet, executor, tmp_path):
    (future,), _ = hold(executor, tmp_path, 1)
    wait_until(lambda: future.task_id, "it is enqueued")
    with skep.Client(fleet.url) as client:
        client.cancel(future.task_id)
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(10)


def test_shutdown_waits_or_cancels(fleet, tmp_path):
    executor = skep.Executor(fleet.url)
    futures, paths = hold(executor, tmp_path, 3)
    executor.shutdown(wait=False)
    with pytest.raises(RuntimeError):
        executor.submit(fleet_functions.square, 1)
    let_go(paths)
    executor.shutdown()
    assert all(future.result(0) == "it is there" for future in futures)
    executor = skep.Executor(fleet.url)
    futures, _ = hold(executor, tmp_path, 5, "never")
    executor.shutdown(cancel_futures=True)
    assert all(future.cancelled() for future in futures)
    skep.Executor(fleet.url).shutdown()


def test_an_exception_lets_a_with_block_wait_and_ctrl_c_cancels(fleet, tmp_path):
    with pytest.raises(ValueError), skep.Executor(fleet.url) as executor:
        waited = executor.submit(fleet_functions.square, 3)
        raise ValueError
    assert waited.result(0) == 9
    with pytest.raises(KeyboardInterrupt), skep.Executor(fleet.url) as executor:
        futures, _ = hold(executor, tmp_path, 3)
        raise KeyboardInterrupt
    assert all(future.cancelled() for future in futures)


def test_shutdown_leaves_no_task_and_no_result_that_nobody_waits_for(fleet):
    def counts(name):
        return next(queue.tasks for queue in client.queues() if queue.name == name)

    with skep.Client(fleet.url) as client:
        with skep.Executor(fleet.url) as executor:
            future = executor.submit("nobody:offers", 1)
            wait_until(lambda: future.task_id, "it is enqueued")
            late = client.enqueue(b'{"args":[2]}', program="fleet_functions:square", queue="another")
            client.wait(late.id, timeout=30)
            executor._left.append(late.id)
            executor._fail_all(skep.Unavailable("away"))
            assert isinstance(future.exception(), skep.Unavailable)
        assert counts(executor.queue).cancelled == 1 and counts(executor.queue).unfinished == 0
        left = client.enqueue(b'{"args":[3]}', program="fleet_functions:square", queue="nightly")
        client.wait(left.id, timeout=30)
        assert counts("nightly").undelivered == 1
        with skep.Executor(fleet.url, queue="nightly") as executor:
            assert executor.queue == "nightly"
        assert counts("nightly").undelivered == 0
        with skep.Executor(fleet.url, queue="nightly") as executor:
            assert list(executor.map(fleet_functions.square, range(5))) == [0, 1, 4, 9, 16]
        assert counts("nightly").undelivered == 0
    with pytest.raises(ValueError):
        skep.Executor(fleet.url, queue="")


# ---- what goes wrong ----

def test_a_future_whose_enqueue_has_just_failed_can_be_cancelled():
    with skep.Executor(f"http://127.0.0.1:{free_port()}", patience=0.05) as executor:
        settle = executor._settle

        def cancel_first(future, value=None, error=None):
            future.cancel()
            settle(future, value, error)

        executor._settle = cancel_first
        futures = [executor.submit("nobody:offers", number) for number in range(3)]
        concurrent.futures.wait(futures, timeout=20)
        assert all(future.cancelled() for future in futures)


def test_a_result_that_another_took_from_the_queue_comes_all_the_same(fleet, executor, tmp_path):
    (future,), paths = hold(executor, tmp_path, 1)
    wait_until(lambda: runs(paths[0]), "it runs")
    executor._take_batch = lambda results: None  # the results of its pulls are lost
    let_go(paths)
    assert future.result(20) == "it is there"


def test_results_that_come_again_change_nothing(lab, start_worker):
    manager = lab.manager(["--visibility", "1s", *QUICK])
    start_worker(manager, "--slots", "1")
    with skep.Executor(manager.url) as executor:
        acks = []
        take_batch = executor._take_batch

        def without_acks(results):
            acks.extend(item.id for item in results)
            run, executor._client._run = executor._client._run, lambda call: 0
            try:
                take_batch(results)
            finally:
                executor._client._run = run

        executor._take_batch = without_acks
        held, paths = hold(executor, lab.directory, 1)
        first = executor.submit(fleet_functions.square, 3, )
        let_go(paths)
        assert first.result(30) == 9 and held[0].result(30) == "it is there"
        more, paths = hold(executor, lab.directory, 1, "more")
        wait_until(lambda: len(acks) > len(set(acks)), "a result comes again")
        let_go(paths)
        assert more[0].result(30) == "it is there"


def test_a_map_survives_the_kill_of_its_manager_and_of_its_workers(lab, start_worker):
    port = free_port()
    manager = lab.manager(QUICK, port=port)
    workers = [start_worker(manager, "--slots", "1") for _ in range(2)]
    with skep.Executor(manager.url) as executor:
        results = executor.map(fleet_functions.square, range(800))
        seen = [next(results) for _ in range(100)]
        manager.kill()
        manager = lab.manager(QUICK, port=port)
        seen += [next(results) for _ in range(200)]
        workers[0].kill()
        seen += [next(results) for _ in range(200)]
        workers.append(start_worker(manager, "--slots", "1"))
        assert seen + list(results) == [i * i for i in range(800)]


def test_a_manager_that_lost_everything_and_one_that_is_gone_fail_the_futures(lab):
    port = free_port()
    manager = lab.manager(QUICK, port=port)
    with skep.Executor(manager.url, patience=1.0) as executor:
        future = executor.submit("nobody:offers", 1)
        wait_until(lambda: future.task_id, "it is enqueued")
        manager.kill()
        manager = lab.manager(QUICK, port=port, directory=lab.path("empty"))
        assert isinstance(future.exception(20), skep.NotFound)
        future = executor.submit("nobody:offers", 1)
        wait_until(lambda: future.task_id, "it is enqueued")
        manager.kill()
        assert isinstance(future.exception(40), skep.Unavailable)
        assert isinstance(executor.submit("nobody:offers", 1).exception(20), skep.Unavailable)


def test_pickles_are_taken_only_where_both_sides_say_so(lab, start_worker, fleet):
    with skep.Executor(fleet.url, codec=skep.PICKLE) as executor:
        with pytest.raises(ValueError, match="pickle"):
            executor.submit(fleet_functions.pair, {1}, (2, 3)).result(30)
    manager = lab.manager(QUICK)
    start_worker(manager, "--slots", "1", "--allow-pickle")
    with skep.Executor(manager.url, codec=skep.PICKLE) as executor:
        assert executor.submit("fleet_functions:pair", (2, 3), scale=2).result(30) == [(2, 3, 2, 3), 0]
        assert executor.submit(fleet_functions.not_json).result(30) == {1, 2}
    with skep.Executor(manager.url) as executor:
        assert executor.submit("fleet_functions:square", 5).result(30) == 25


def test_skeps_own_workers_run_functions_as_commands(lab):
    path = os.pathsep.join([SOURCE, os.path.dirname(__file__)])  # a command gets no environment of its worker's
    commands = [f"--command={name}=/usr/bin/env PYTHONPATH={path} {sys.executable} -B -m skep call {name}"
                for name in ("fleet_functions:pair", "fleet_functions:divide")]
    manager = lab.manager(["--max-workers", "1", *commands, *QUICK], command="up")
    with skep.Executor(manager.url, max_attempts=1) as executor:
        assert executor.submit(fleet_functions.pair, 2, second=3).result(60) == [2, 3]
        assert type(executor.submit(fleet_functions.divide, 1, 0).exception(60)) is ZeroDivisionError


def test_functions_are_found_by_what_a_worker_is_given():
    found = load(["fleet_functions", "math:factorial", "fleet_functions:not_marked"])
    assert found["math:factorial"].call is math.factorial and "fleet_functions:not_marked" in found
    assert found["fleet_functions:too_slow"].options.timeout == 0.3
    assert set(load([math.sqrt])) == {"math:sqrt"}
    for wrong in (["no_such_module"], ["fleet_functions:nothing"], ["math"], []):
        with pytest.raises(ValueError):
            load(wrong)


def test_a_thread_of_an_executor_does_not_keep_a_program_alive(fleet):
    script = ("import skep, sys\nexecutor = skep.Executor(sys.argv[1])\n"
              "executor.submit('nobody:offers', 1)\nprint('ends')\n")
    ended = subprocess.run([sys.executable, "-c", script, fleet.url], capture_output=True, timeout=30, check=True,
                           env={**os.environ, "PYTHONPATH": SOURCE})
    assert ended.stdout == b"ends\n" and ended.stderr == b""
    assert signal.getsignal(signal.SIGTERM) and threading.active_count() < 100
