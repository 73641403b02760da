# SPDX-License-Identifier: Apache-2.0
"""Goal: /metrics tells what happened, as Prometheus wants it told, and stays as long as it is.

Method: real managers are asked before and after something happens. promtool, Prometheus' own checker, reads the text.
"""
import re
import subprocess
import unittest

from harness import PATIENCE, QUICK, ProcessTest, wait_until

SAMPLE = re.compile(r'^(\w+)(?:\{(.*)\})? (\S+)$')


def samples(http):
    """Each sample of /metrics: {(name, labels as they stand there): value}."""
    answer = http.get("/metrics")
    assert answer.status == 200, answer
    found = {}
    for line in answer.body.decode().splitlines():
        if line and not line.startswith("#"):
            name, labels, value = SAMPLE.match(line).groups()
            found[name, labels or ""] = float(value)
    return found


class Metrics(ProcessTest):
    def test_promtool_has_nothing_to_say(self):
        manager = self.lab.manager(["--max-workers", "1", "--worker-price", "2", "--budget-month", "100",
                                    "--budget-hour", "10", *QUICK], command="up")
        http = manager.http()
        self.assertEqual(self.finished(http, self.enqueue(http, b"one", 2))["state"], "done")
        self.assertEqual(http.get("/nothing").status, 404)
        text = http.get("/metrics").body
        checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=PATIENCE,
                                 check=False)
        self.assertEqual((checked.returncode, checked.stdout, checked.stderr), (0, b"", b""))

    def test_what_happened_is_counted(self):
        fails = self.lab.script("fails", "#!/bin/sh\nexit 1\n")
        manager = self.lab.manager([*QUICK])
        http = manager.http()
        before = samples(http)
        self.assertEqual(before["skep_ready", ""], 1)
        self.assertEqual(before["skep_tasks_enqueued_total", ""], 0)
        self.assertEqual(before["skep_task_wait_seconds_count", ""], 0)
        done = [self.enqueue(http, b"body", 20_000, queue="somewhere") for _ in range(3)]
        cancelled = self.enqueue(http, b"never", 2, delay="1h")
        dead = self.enqueue_command(http, "fails", max_attempts=2)
        waiting = samples(http)
        self.assertEqual(waiting["skep_tasks", 'state="queued"'], 4)
        self.assertGreater(waiting["skep_oldest_queued_seconds", ""], 0)
        self.assertGreater(waiting["skep_backlog_seconds", ""], 0)
        self.assertEqual(http.delete(f"/v1/tasks/{cancelled}").status, 200)
        self.lab.worker(manager, ["--command", f"fails={fails}"])
        for task in done:
            self.assertEqual(self.finished(http, task)["state"], "done")
        self.assertEqual(self.finished(http, dead)["state"], "dead")
        after = samples(http)
        for name, count in [("skep_tasks_enqueued_total", 5), ("skep_tasks_completed_total", 3),
                            ("skep_attempts_failed_total", 2), ("skep_tasks_retried_total", 1),
                            ("skep_tasks_dead_total", 1), ("skep_tasks_cancelled_total", 1), ("skep_leases_total", 5),
                            ("skep_task_wait_seconds_count", 5), ("skep_attempt_run_seconds_count", 5),
                            ("skep_oldest_queued_seconds", 0), ("skep_backlog_seconds", 0)]:
            self.assertEqual(after[name, ""], count, name)
        self.assertGreater(after["skep_task_wait_seconds_sum", ""], 0)
        self.assertGreaterEqual(after["skep_commits_total", ""], 5)
        under_way = after["skep_commits_total", ""] - after["skep_commit_seconds_count", ""]
        self.assertIn(under_way, (0, 1))
        self.assertGreaterEqual(after["skep_commit_changes_sum", ""], 10, "at least one when it comes, one when it ends")
        self.assertEqual(after["skep_commit_payload_bytes_total", ""], 3 * (4 + 128) + 5)
        self.assertEqual(after["skep_commits_failed_total", ""], 0)
        self.assertEqual(after["skep_shards_owned", ""], len(http.get("/v1/cluster").json()["shards"]))
        self.assertEqual(after["skep_workers", 'state="active"'], 1)
        self.assertEqual(self.task(http, dead)["state"], "dead")
        self.assertEqual(http.post(f"/v1/tasks/{dead}:retry").status, 200)
        self.assertEqual(samples(http)["skep_tasks_retried_total", ""], 2)

    def test_what_the_scaler_does_is_counted(self):
        manager = self.lab.manager(["--max-workers", "1", "--target-wait", "7s", *QUICK], command="up")
        http = manager.http()
        self.finished(http, self.enqueue(http, b"work", 2))
        seen = samples(http)
        self.assertEqual(seen["skep_target_wait_seconds", ""], 7)
        self.assertEqual(seen["skep_workers_max", ""], 1)
        self.assertEqual(seen["skep_scaler_actions_total", 'action="launch"'], 1)
        self.assertGreater(seen["skep_scaler_decisions_total", ""], 0)

    def test_why_new_tasks_are_refused_is_told(self):
        manager = self.lab.manager([*QUICK])
        http = manager.http()
        reasons = ["disk", "draining", "queue_full", "store"]
        refused = lambda: [samples(http)["skep_enqueue_refused", f'reason="{reason}"'] for reason in reasons]
        status = lambda: self.lab.run("status", "--manager", manager.url).stdout.decode()
        self.assertEqual(refused(), [0, 0, 0, 0])
        self.assertNotIn("TAKES NO NEW TASKS", status())
        for queue in ("one", "two"):
            self.assertEqual(http.request("PATCH", f"/v1/queues/{queue}", b'{"max_depth": 1}').status, 200)
            self.enqueue(http, b"first", 1, queue=queue)
        self.assertEqual(http.post("/v1/tasks?iterations=1&queue=one", b"second").status, 429)
        self.assertEqual(refused(), [0, 0, 2, 0])
        self.assertRegex(status(), r"TAKES NO NEW TASKS in queue one: \S+: queue 'one' is full: 1 task waits in it")
        self.assertEqual(http.request("PATCH", "/v1/queues/one", b'{"max_depth": 2}').status, 200)
        self.assertEqual(refused(), [0, 0, 1, 0])

    def test_a_lost_worker_is_seen(self):
        manager = self.lab.manager([*QUICK])
        http = manager.http()
        worker = self.lab.worker(manager)
        wait_until(lambda: samples(http)["skep_workers", 'state="active"'] == 1, "the worker is there")
        worker.kill()
        wait_until(lambda: samples(http)["skep_workers", 'state="lost"'] == 1, "it is seen to be lost")
        self.assertEqual(samples(http)["skep_workers", 'state="active"'], 0)

    def test_users_can_not_make_it_longer(self):
        """Queues, tags, paths, methods, programs: what users choose is in no label."""
        manager = self.lab.manager(["--max-workers", "1", *QUICK])
        http = manager.http()
        self.assertEqual(http.post("/v1/tasks:batch", {"tasks": []}).status, 400)
        self.assertEqual(http.get("/nothing").status, 404)
        self.assertEqual(http.request("PATCH", "/v1/tasks").status, 405)
        self.enqueue(http, b"first", 1)
        short = set(samples(http))
        for first in range(0, 10_000, 100):
            names = [f"n{number}" for number in range(first, first + 100)]
            message = {"tasks": [{"options": {"queue": name, "kind": "command", "program": name, "tags": [name]},
                                  "body": name} for name in names]}
            self.assertIn(http.post("/v1/tasks:batch", message).status, (200, 429))  # of queues there is a most
        for number in range(300):
            self.assertEqual(http.get(f"/path{number}").status, 404)
        known = http.get("/v1/cluster").json()["tasks"]["queued"]
        self.assertGreaterEqual(known, 900)
        grown = set(samples(http)) - short
        codes = {labels for name, labels in grown if name == "skep_http_requests_total"}
        self.assertEqual({name for name, _ in grown} - {"skep_http_requests_total", "skep_http_request_seconds_bucket"},
                         set(), grown)
        self.assertLessEqual(len(codes), 3, codes)
        self.assertLess(len(samples(http)), 2_500)


if __name__ == "__main__":
    unittest.main()
