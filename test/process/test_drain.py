# SPDX-License-Identifier: Apache-2.0
"""SIGTERM: a manager answers what is in flight, commits and exits 0 within 5 s; a worker hands back what it holds."""
import signal
import threading
import unittest

from harness import QUICK, NoAnswer, NotSent, ProcessTest, reference, wait_until

PROMISE_SECONDS = 5.0
MARGIN_SECONDS = 3.0  # for a machine that is busy with other tests
LONG = 20_000_000_000  # iterations: hours


class ManagerDrain(ProcessTest):
    def assert_drains(self, manager):
        code, seconds = manager.terminate()
        print(f"\n{manager.name} drained in {seconds:.2f} s")
        self.assertEqual(code, 0, manager.log())
        self.assertLess(seconds, PROMISE_SECONDS + MARGIN_SECONDS)

    def test_an_idle_manager_drains(self):
        self.assert_drains(self.lab.manager())

    def test_sigint_drains_too(self):
        manager = self.lab.manager()
        manager.signal(signal.SIGINT)
        self.assertEqual(manager.wait(), 0)

    def test_long_polls_are_answered(self):
        manager = self.lab.manager()
        http = manager.http()
        task = self.enqueue(http, b"nobody computes it")
        registered = http.post("/v1/workers", {"name": "by hand", "slots": 1, "kinds": ["command"]}).json()
        answers = {}

        def ask(name, method, path, body=None):
            try:
                answers[name] = manager.http().request(method, path, body)
            except NoAnswer as error:
                answers[name] = error
        waits = [("task", "GET", f"/v1/tasks/{task}?wait=60s"), ("pull", "POST", "/v1/results:pull?wait=60s"),
                 ("acquire", "POST", "/v1/leases:acquire",
                  b'{"worker": "%s", "max": 1, "wait_ms": 60000, "kinds": ["command"]}'
                  % registered["worker"].encode())]
        threads = [threading.Thread(target=ask, args=wait) for wait in waits]
        for thread in threads:
            thread.start()
        # Each of them has a connection by then; the manager's own is the fourth.
        wait_until(lambda: manager.open_files() and self.connections(manager) >= 4, "all three wait")
        self.assert_drains(manager)
        for thread in threads:
            thread.join()
        for name, answer in answers.items():
            self.assertEqual(getattr(answer, "status", None), 200, f"{name}: {answer}")
        self.assertEqual(answers["task"].json()["state"], "queued")

    def connections(self, manager):
        port = int(manager.address.split(":")[1])
        with open("/proc/net/tcp", encoding="ascii") as file:
            rows = [line.split() for line in file.readlines()[1:]]
        return sum(1 for row in rows if int(row[1].split(":")[1], 16) == port and row[3] == "01")

    def test_under_load_every_request_is_answered_or_was_not_accepted(self):
        manager = self.lab.manager(["--min-workers", "1", "--max-workers", "2", *QUICK], command="up")
        acknowledged = {}
        surprises = []
        crossed = []
        lock = threading.Lock()

        def client(number):
            http = manager.http()
            for i in range(1_000_000):
                body = f"client {number} task {i}".encode()
                try:
                    answer = http.post("/v1/tasks?iterations=5", body)
                except NotSent:
                    return  # it accepts no more
                except NoAnswer as error:
                    # The manager closed a connection that it saw idle while this request was on its way: then it must
                    # not have happened, which the audit below looks for.
                    with lock:
                        crossed.append((body, str(error)))
                    return
                with lock:
                    if answer.status == 200:
                        acknowledged[answer.json()["id"]] = reference(body, 5)
                    elif answer.status != 503:
                        surprises.append((body, answer))
        threads = [threading.Thread(target=client, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(acknowledged) > 300, "there is load")
        self.assert_drains(manager)
        for thread in threads:
            thread.join()
        self.assertEqual(surprises, [])
        print(f"{len(acknowledged)} acknowledged, {len(crossed)} requests crossed the closing of their connection")
        wait_until(lambda: not self.lab.survivors(), "its workers are gone with it")
        manager = self.lab.manager(["--min-workers", "2", "--max-workers", "2", *QUICK], directory=manager.directory,
                                   command="up")
        http = manager.http()
        for task, result in acknowledged.items():
            seen = self.finished(http, task)
            self.assertEqual((seen["state"], seen["result"]), ("done", result), seen)
        listed = []
        cursor = ""
        while page := http.get(f"/v1/tasks?limit=1000&cursor={cursor}").json():
            listed += [task["id"] for task in page.get("tasks", [])]
            cursor = page.get("next_cursor", "")
            if not cursor:
                break
        self.assertEqual(set(listed), set(acknowledged), f"accepted and not answered; crossed: {crossed[:3]}")

    def test_a_drain_of_skep_up_hands_back_what_runs_and_costs_no_attempt(self):
        directory = self.lab.path("store")
        arguments = ["--min-workers", "1", "--max-workers", "1", "--lease", "60s"]
        manager = self.lab.manager(arguments, command="up", directory=directory)
        task = self.enqueue(manager.http(), b"runs for hours", LONG)
        for times in range(1, 4):
            http = manager.http()
            # The lease of the life before is over at once, not when it runs out.
            wait_until(lambda: self.task(http, task).get("leases", 0) == times, "it is leased, again", 10)
            # One that has not begun is handed back without a word of it.
            wait_until(lambda: self.task(http, task).get("started_at_ms", 0) > 0, "it runs")
            self.assert_drains(manager)
            manager = self.lab.manager(arguments, command="up", directory=directory)
            seen = self.task(manager.http(), task)
            self.assertEqual(seen.get("attempts_failed", 0), 0, seen)
            self.assertEqual([error["end"] for error in seen["errors"]], ["released"] * times, seen)

    def test_a_drained_manager_refuses_new_tasks_while_it_answers(self):
        # A child that ignores its end keeps the drain going for a while.
        stubborn = self.lab.script("stubborn", "#!/bin/sh\ntrap '' TERM\nsleep 60\n")
        manager = self.lab.manager(["--min-workers", "1", "--max-workers", "1", "--command", f"stubborn={stubborn}",
                                    *QUICK], command="up")
        http = manager.http()
        task = self.enqueue_command(http, "stubborn")
        wait_until(lambda: self.task(http, task)["state"] == "leased", "it runs")
        manager.signal(signal.SIGTERM)
        seen = []

        def refuses():
            try:
                seen.append(http.post("/v1/tasks?iterations=1", b"too late"))
            except NoAnswer:
                return True  # it is gone already: nothing to see
            return seen[-1].status == 503
        wait_until(refuses, "a draining manager refuses tasks")
        if seen and seen[-1].status == 503:
            self.assert_problem(seen[-1], 503, "unavailable")
        self.assertEqual(manager.wait(PROMISE_SECONDS + MARGIN_SECONDS), 0)
        wait_until(lambda: not self.lab.survivors(), "nothing is left behind")


class WorkerDrain(ProcessTest):
    def test_sigterm_finishes_what_fits_and_hands_back_the_rest(self):
        manager = self.lab.manager(QUICK)
        http = manager.http()
        worker = self.lab.worker(manager, ["--slots", "1", "--drain-timeout", "1s"])
        running = self.enqueue(http, b"runs for hours", LONG)
        wait_until(lambda: self.task(http, running)["state"] == "leased", "the long one runs")
        prefetched = self.enqueue(http, b"waits behind it", 1)
        wait_until(lambda: self.task(http, prefetched)["state"] == "leased", "the short one is prefetched")
        code, seconds = worker.terminate()
        self.assertEqual(code, 0, worker.log())
        print(f"\nworker drained in {seconds:.2f} s")
        for task in (running, prefetched):
            seen = self.task(http, task)
            self.assertEqual(seen["state"], "queued", seen)
            self.assertEqual(seen.get("attempts_failed", 0), 0, seen)
        self.assertEqual(self.task(http, prefetched).get("workers_lost", 0), 0)
        self.assertEqual(self.workers(http), [], "it has left")
        self.lab.worker(manager)
        self.assertEqual(http.delete(f"/v1/tasks/{running}").status, 200)
        self.assertEqual(self.finished(http, prefetched)["result"], reference(b"waits behind it", 1))

    def test_an_operator_can_order_a_drain(self):
        manager = self.lab.manager(QUICK)
        http = manager.http()
        worker = self.lab.worker(manager)
        (one,) = wait_until(lambda: self.active_workers(http), "the worker is there")
        answer = http.post(f"/v1/workers/{one['id']}:drain")
        self.assertEqual((answer.status, answer.json()["state"]), (200, "draining"))
        self.assertEqual(worker.wait(), 0)
        wait_until(lambda: not self.active_workers(http), "it has left")

    def test_a_worker_without_a_manager_ends_on_sigterm(self):
        worker = self.lab.worker("http://127.0.0.1:9", ["--drain-timeout", "1s"])
        wait_until(lambda: worker.log(), "it has begun")
        code, seconds = worker.terminate()
        self.assertEqual(code, 0)
        self.assertLess(seconds, PROMISE_SECONDS + MARGIN_SECONDS)


if __name__ == "__main__":
    unittest.main(verbosity=2)
