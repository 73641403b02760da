# SPDX-License-Identifier: Apache-2.0
"""Goal: skep explain tells why a task, a worker and the fleet are as they are, and were, in sentences.

Method: real managers and workers; a task that fails and a worker that is killed; the story is asked for, and at moments of it.
"""
import json
import signal
import time
import unittest
from datetime import datetime, timezone

from harness import QUICK, ProcessTest, wait_until


def moment(ms):
    return datetime.fromtimestamp(ms / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class Explain(ProcessTest):
    def explain(self, manager, *arguments):
        done = self.lab.run("explain", *arguments, "--manager", manager.url)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode()

    def test_a_task_that_fails_and_is_parked(self):
        fails = self.lab.script("fails", "#!/bin/sh\necho no such colour >&2\nexit 3\n")
        manager = self.lab.manager([*QUICK])
        http = manager.http()
        before_ms = int(time.time() * 1000) - 5_000
        task = self.enqueue_command(http, "fails", max_attempts=2)
        self.lab.worker(manager, ["--command", f"fails={fails}", "--name", "painter"])
        self.assertEqual(self.finished(http, task)["state"], "dead")
        told = self.explain(manager, "task", task)
        self.assertIn("is dead. It gave up", told)
        self.assertRegex(told, r"retry +Attempt 1 on worker \S+ failed \(.*that is 1 of 2 attempts, so it is tried again")
        self.assertRegex(told, r"park +Attempt 2 on worker \S+ failed \(.*that is 2 of 2 attempts, so it is parked")
        self.assertLess(told.index("retry "), told.index("park "))
        self.assertIn("was not there yet", self.explain(manager, "task", task, "--at", moment(before_ms)))
        decisions = http.get(f"/v1/decisions?task={task}").json()["decisions"]
        self.assertEqual([one["kind"] for one in decisions], ["park", "retry"])
        self.assertEqual({one["manager"] for one in decisions}, {manager.address})
        between = self.explain(manager, "task", task, "--at", moment(decisions[1]["at_ms"] + 1))
        self.assertIn("tried again", between)
        self.assertNotIn("park ", between)
        self.assertRegex(between, r"waited for worker \S+ or was with it already|waited for its next attempt")
        since = moment(decisions[0]["at_ms"] + 1)
        self.assertIn("it was dead, since", wait_until(lambda: self.explain(manager, "task", task, "--at", since), "told"))
        told = json.loads(self.explain(manager, "task", task, "--at", since, "--json"))
        self.assertEqual(len(told["decisions"]), 2)
        # What is told about the worker has its tasks in it.
        self.assertIn("tried again", self.explain(manager, "worker", "painter"))

    def test_a_worker_that_dies_with_a_task(self):
        manager = self.lab.manager([*QUICK])
        http = manager.http()
        task = self.enqueue(http, b"long", 1_000_000_000_000, checkpoint="false")
        worker = self.lab.worker(manager)
        name = wait_until(lambda: self.task(http, task).get("worker"), "it is leased")
        wait_until(lambda: self.task(http, task).get("started_at_ms"), "it runs")
        worker.signal(signal.SIGKILL)
        wait_until(lambda: self.task(http, task)["state"] == "queued", "it is queued again")
        told = self.explain(manager, "task", task)
        self.assertRegex(told, rf"requeue +Attempt 1 on worker {name} was lost with its worker .*1 of 5 losses")
        told = self.explain(manager, "worker", name)
        self.assertRegex(told, r"lose +.*It was silent for .*longer than 1s")
        self.assertIn("requeue", told)
        lost = [one for one in http.get(f"/v1/decisions?worker={name}").json()["decisions"] if one["kind"] == "lose"]
        self.assertEqual(lost[0]["rule"], "silence")
        self.assertIn({"name": "worker_timeout", "value": "1s"}, lost[0]["inputs"])

    def test_a_worker_that_is_asked_to_drain(self):
        manager = self.lab.manager([*QUICK])
        http = manager.http()
        worker = self.lab.worker(manager)
        name = wait_until(lambda: self.active_workers(http), "it is there")[0]["id"]
        self.assertEqual(http.post(f"/v1/workers/{name}:drain").status, 200)
        self.assertEqual(worker.wait(), 0)
        told = self.explain(manager, "worker", name)
        self.assertIn("It is asked to drain", told)
        self.assertIn("It left", told)

    def test_the_fleet_then_and_now(self):
        manager = self.lab.manager(["--max-workers", "2", *QUICK], command="up")
        http = manager.http()
        self.finished(http, self.enqueue(http, b"work", 2))
        decisions = http.get("/v1/scaling?limit=1000").json()["decisions"]
        launch = [one for one in decisions if one["action"] == "launch"][-1]
        self.assertEqual((launch["rule"], launch["max_workers"], launch["target_wait_ms"]), ("policy", 2, 30_000))
        told = self.explain(manager, "scaling", "--at", moment(launch["at_ms"]))
        self.assertIn("1 worker was wanted", told)
        self.assertIn("bounds of 0 to 2, ", told)
        older = http.get(f"/v1/scaling?limit=1000&until_ms={launch['at_ms']}").json()["decisions"]
        self.assertEqual(older[0]["at_ms"], launch["at_ms"])
        self.assertTrue(all(one["at_ms"] <= launch["at_ms"] for one in older), older)
        did = http.get("/v1/decisions?limit=1000").json()["decisions"]
        self.assertIn(("launch", "fleet"), {(one["kind"], one["subject"]) for one in did})
        self.assertIn("Nothing is known", self.explain(manager, "scaling", "--at", "1d"))

    def test_what_is_asked_wrongly_is_refused(self):
        manager = self.lab.manager([])
        http = manager.http()
        for query in ("task=x", "limit=0", "until_ms=-1", "until_ms=soon", "who=me"):
            self.assert_problem(http.get(f"/v1/decisions?{query}"), 400)
        self.assert_problem(http.get("/v1/scaling?until_ms=x"), 400)
        for wrong in (["scaling", "--at", "yesterday"], ["scaling", "--at", "2026-13-01T00:00:00Z"],
                      ["scaling", "--at", "2200-01-01T00:00Z"], ["cost", "--at", "5m"]):
            refused = self.lab.run("explain", *wrong, "--manager", manager.url)
            self.assertEqual(refused.returncode, 2, refused)
            self.assertRegex(refused.stderr.decode(), r"is not a moment|is still to come|knows no --at")


if __name__ == "__main__":
    unittest.main()
