# SPDX-License-Identifier: Apache-2.0
"""What survives a manager: everything acknowledged, the leases that hold, keys, delays; by SIGTERM and by kill -9."""
import os
import unittest

from harness import PATIENCE, QUICK, ProcessTest, free_port, quick, reference, wait_until

WORK = 3_000_000  # iterations: a second or more


class Restart(ProcessTest):
    def setUp(self):
        super().setUp()
        self.port = free_port()

    def manager(self, lease="3s"):
        return self.lab.manager(quick(lease), port=self.port)

    def end(self, manager, how):
        if how == "kill -9":
            manager.kill()
            return
        code, _ = manager.terminate()
        self.assertEqual(code, 0)

    def for_both_ends(self, check):
        for how in ("SIGTERM", "kill -9"):
            with self.subTest(how):
                self.lab.close()
                self.setUp()
                check(how)

    def test_results_errors_queues_and_keys_survive(self):
        self.for_both_ends(self.check_what_survives)

    def check_what_survives(self, how):
        manager = self.manager()
        http = manager.http()
        worker = self.lab.worker(manager, ["--command", "false=false"])
        done = self.enqueue(http, b"done before", 10, key="the key", tag="kept")
        self.finished(http, done)
        dead = self.enqueue_command(http, "false", max_attempts=1)
        self.assertEqual(self.finished(http, dead)["state"], "dead")
        delivered = self.enqueue(http, b"delivered before", 1)
        self.finished(http, delivered)
        self.assertEqual([item["id"] for item in http.post("/pullCompleted?top=1").json()["items"]], [done])
        worker.terminate()
        waiting = self.enqueue(http, b"waits", 7, priority=9)
        cancelled = self.enqueue(http, b"cancelled", 1)
        self.assertEqual(http.delete(f"/v1/tasks/{cancelled}").status, 200)
        paused = http.request("PATCH", "/v1/queues/slow", b'{"paused": true, "max_depth": 7}')
        self.assertEqual(paused.status, 200, paused)
        before = {task: self.task(http, task) for task in (done, dead, delivered, waiting, cancelled)}
        self.end(manager, how)

        manager = self.manager()
        http = manager.http()
        for task, was in before.items():
            now = self.task(http, task)
            for field in set(was) | set(now):
                if field != "explanation":
                    self.assertEqual(now.get(field), was.get(field), f"{field} of {was['state']} {task}")
        again = http.post("/v1/tasks?iterations=10", b"done before", headers={"Idempotency-Key": "the key"})
        self.assertEqual((again.json()["id"], again.json()["state"], again.json()["existing"]), (done, "done", True))
        slow = [queue for queue in http.get("/v1/queues").json()["queues"] if queue["name"] == "slow"]
        self.assertEqual((slow[0]["paused"], slow[0]["max_depth"]), (True, 7))
        # What was pulled is not pulled again; what was not, is.
        self.assertEqual([item["id"] for item in http.post("/pullCompleted?top=9").json()["items"]], [delivered])
        self.lab.worker(manager)
        self.assertEqual(self.finished(http, waiting)["result"], reference(b"waits", 7))

    def test_a_worker_keeps_computing_while_the_manager_is_away(self):
        self.for_both_ends(self.check_leases_outstanding)

    def check_leases_outstanding(self, how):
        manager = self.manager("30s")
        http = manager.http()
        self.lab.worker(manager, ["--slots", "2"])
        bodies = {}
        for i in range(2):
            body = f"{how} while it runs {i}".encode()
            bodies[self.enqueue(http, body, WORK)] = body
        wait_until(lambda: all(self.task(http, task).get("started_at_ms") for task in bodies), "both run")
        self.end(manager, how)
        manager = self.manager("30s")
        http = manager.http()
        for task, body in bodies.items():
            seen = self.finished(http, task)
            self.assertEqual((seen["state"], seen["result"]), ("done", reference(body, WORK)), seen)
            # The lease held: the one execution that was under way is the one that counts.
            self.assertEqual(seen["leases"], 1, seen)
            self.assertEqual(seen.get("workers_lost", 0), 0, seen)

    def test_a_result_that_is_finished_while_the_manager_is_away_is_delivered(self):
        manager = self.manager("60s")
        http = manager.http()
        flag = self.lab.path("finished")
        program = self.lab.script("finish", f"#!/bin/sh\nread line\necho got $line\ntouch {flag}\n")
        hold = self.lab.script("hold", f"#!/bin/sh\nwhile [ ! -e {flag}.go ]; do sleep 0.05; done\nexec {program}\n")
        self.lab.worker(manager, ["--command", f"hold={hold}"])
        task = self.enqueue_command(http, "hold", b"it\n")
        wait_until(lambda: self.task(http, task)["state"] == "leased", "it runs")
        manager.kill()
        open(flag + ".go", "w", encoding="ascii").close()
        wait_until(lambda: os.path.exists(flag), "it ends with nobody to tell")
        manager = self.manager("60s")
        seen = self.finished(manager.http(), task)
        self.assertEqual((seen["state"], seen["result"], seen["leases"]), ("done", "got it\n", 1), seen)

    def test_a_delayed_task_keeps_its_time(self):
        self.for_both_ends(self.check_delay)

    def check_delay(self, how):
        manager = self.manager()
        http = manager.http()
        self.lab.worker(manager)
        soon = self.enqueue(http, b"soon", 1, delay="3s")
        late = self.enqueue(http, b"late", 1, delay="1h")
        ready_at = self.task(http, soon)["ready_at_ms"]
        self.end(manager, how)
        http = self.manager().http()
        for task in (soon, late):
            self.assertIn(self.task(http, task)["state"], ("delayed", "queued", "leased", "done"))
        self.assertEqual(self.task(http, soon)["ready_at_ms"], ready_at)
        seen = self.finished(http, soon)
        self.assertEqual(seen["state"], "done")
        self.assertGreaterEqual(seen["leased_at_ms"], ready_at)
        self.assertEqual(self.task(http, late)["state"], "delayed")

    def test_a_worker_that_starts_before_its_manager_waits_for_it(self):
        worker = self.lab.worker(f"http://127.0.0.1:{self.port}")
        http = self.manager().http()
        wait_until(lambda: self.active_workers(http), "the worker has found the manager", PATIENCE)
        self.assertEqual(worker.terminate()[0], 0)

    def test_an_orphaned_worker_ends(self):
        manager = self.manager()
        worker = self.lab.worker(manager, ["--orphan-timeout", "1s"])
        wait_until(lambda: self.active_workers(manager.http()), "the worker is there")
        manager.kill()
        self.assertEqual(worker.wait(), 0)

    def test_busy_workers_of_skep_up_do_not_outlive_it_for_long(self):
        manager = self.lab.manager(["--min-workers", "1", "--max-workers", "1", *QUICK], command="up")
        http = manager.http()
        task = self.enqueue(http, b"runs for hours", 20_000_000_000)
        wait_until(lambda: self.task(http, task).get("started_at_ms"), "it runs")
        manager.kill()
        # Its drain timeout of 20 s, in which a restarted manager could take the result.
        wait_until(lambda: not self.lab.survivors(), "the worker gives up", PATIENCE)

    def test_idle_workers_of_skep_up_end_with_it(self):
        manager = self.lab.manager(["--min-workers", "2", "--max-workers", "2", *QUICK], command="up")
        http = manager.http()
        wait_until(lambda: len(self.active_workers(http)) == 2, "both workers run")
        manager.kill()
        wait_until(lambda: not self.lab.survivors(), "its workers are gone")


class RestartOnLog(Restart):
    store = "log"

    # What workers do without a manager is the same whatever it keeps its tasks in.
    test_a_worker_that_starts_before_its_manager_waits_for_it = None
    test_an_orphaned_worker_ends = None
    test_busy_workers_of_skep_up_do_not_outlive_it_for_long = None
    test_idle_workers_of_skep_up_end_with_it = None


if __name__ == "__main__":
    unittest.main(verbosity=2)
