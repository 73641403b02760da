# SPDX-License-Identifier: Apache-2.0
"""A worker that stands still past its lease: others do its work, and what it says later harms nothing."""
import signal
import unittest

from harness import QUICK, ProcessTest, reference, wait_until

WORK = 2_000_000  # iterations: a second or so, of which only an instant passes before the worker is stopped


class WorkerStop(ProcessTest):
    def test_a_stopped_worker_loses_its_leases_and_comes_back(self):
        manager = self.lab.manager(QUICK)
        http = manager.http()
        sleeper = self.lab.worker(manager, ["--slots", "2", "--name", "sleeper"])
        bodies = {}
        for i in range(2):
            body = f"stopped {i}".encode()
            bodies[self.enqueue(http, body, WORK)] = body
        wait_until(lambda: all(self.task(http, task)["state"] == "leased" for task in bodies), "both are leased")
        sleeper.signal(signal.SIGSTOP)
        wait_until(lambda: [w for w in self.workers(http) if w["state"] == "lost"], "the silence is noticed")
        for task in bodies:
            self.assertNotEqual(self.task(http, task)["state"], "done")
        self.lab.worker(manager, ["--slots", "2", "--name", "heir"])
        for task, body in bodies.items():
            seen = self.finished(http, task)
            self.assertEqual(seen["state"], "done", seen)
            self.assertEqual(seen["result"], reference(body, WORK))
            self.assertEqual(seen["workers_lost"], 1)
            self.assertEqual(seen.get("attempts_failed", 0), 0)
        # The zombie wakes with both tasks half done, finishes or drops them, and works on.
        sleeper.signal(signal.SIGCONT)
        wait_until(lambda: len(self.active_workers(http)) == 2, "the worker is back")
        pulled = http.post("/pullCompleted?top=100").json()["items"]
        self.assertEqual({item["id"]: item["result"] for item in pulled},
                         {task: reference(body, WORK) for task, body in bodies.items()})

        def works_again():
            self.finished(http, self.enqueue(http, b"more", 1))
            return [w for w in self.workers(http) if w["name"] == "sleeper" and w.get("completed", 0) > 0
                    and w["state"] == "active"]
        wait_until(works_again, "the worker that stood still computes again")
        self.assertEqual(http.get("/v1/cluster").json()["totals"].get("mismatches", 0), 0)
        wait_until(lambda: http.get("/v1/cluster").json()["tasks"].get("leased", 0) == 0, "all is done")
        for task in bodies:  # still once
            self.assertEqual(self.task(http, task)["state"], "done")
        again = http.post("/pullCompleted?top=1000").json()["items"]
        self.assertFalse({item["id"] for item in again} & set(bodies), "a result is delivered once")

    def test_a_late_result_of_a_task_that_still_waits_is_taken(self):
        manager = self.lab.manager(QUICK)
        http = manager.http()
        sleeper = self.lab.worker(manager, ["--slots", "1"])
        body = b"the only worker stands still"
        task = self.enqueue(http, body, WORK)
        wait_until(lambda: self.task(http, task)["state"] == "leased", "the task is leased")
        sleeper.signal(signal.SIGSTOP)
        wait_until(lambda: self.task(http, task)["state"] == "queued", "its lease is over")
        sleeper.signal(signal.SIGCONT)
        seen = self.finished(http, task)
        self.assertEqual((seen["state"], seen["result"]), ("done", reference(body, WORK)))


if __name__ == "__main__":
    unittest.main(verbosity=2)
