# SPDX-License-Identifier: Apache-2.0
"""Tasks of kind command: what a program may do, and what a task that kills its workers can not do."""
import unittest

from harness import QUICK, ProcessTest, wait_until

INFRASTRUCTURE_BUDGET = 5
RESULT_BYTES_MAX = 1 << 20


class Poison(ProcessTest):
    def test_a_task_that_kills_its_workers_is_parked_as_dead(self):
        # The program of a task runs below its supervisor, and that below the worker's process.
        killer = self.lab.script("killer", "#!/bin/sh\nkill -9 $(awk '/^PPid:/ {print $2}' /proc/$PPID/status)\nsleep 60\n")
        manager = self.lab.manager(["--min-workers", "1", "--max-workers", "2", "--command", f"killer={killer}",
                                    "--command", "cat=cat", *QUICK], command="up")
        http = manager.http()
        poison = self.enqueue_command(http, "killer")
        others = [self.enqueue_command(http, "cat", f"harmless {i}".encode()) for i in range(10)]
        seen = self.finished(http, poison, 120)
        self.assertEqual(seen["state"], "dead", seen)
        # It is dead for its workers, not for its attempts, and says so.
        self.assertEqual(seen["workers_lost"], INFRASTRUCTURE_BUDGET, seen)
        self.assertEqual(seen.get("attempts_failed", 0), 0, seen)
        self.assertIn("worker", seen["reason"])
        self.assertEqual(len(seen["errors"]), INFRASTRUCTURE_BUDGET)
        self.assertTrue(all(error["end"] in ("worker_lost", "lease_expired") for error in seen["errors"]), seen)
        for i, task in enumerate(others):
            other = self.finished(http, task)
            self.assertEqual((other["state"], other["result"]), ("done", f"harmless {i}"), other)
        # By hand it gets fresh budgets.
        again = http.post(f"/v1/tasks/{poison}:retry")
        self.assertEqual(again.status, 200, again)
        self.assertEqual(again.json()["state"], "queued")
        self.assertEqual(http.delete(f"/v1/tasks/{poison}").json()["state"], "cancelled")
        # The programs of killed workers do not run on.
        manager.terminate()
        wait_until(lambda: not self.lab.survivors(), "nothing is left behind", 30)


class Commands(ProcessTest):
    def setUp(self):
        super().setUp()
        script = self.lab.script
        programs = {
            "cat": "cat",
            "args": "printf %s-%s one two",
            "fail": script("fail", "#!/bin/sh\necho 'it is broken' >&2\nexit 3\n"),
            "hang": script("hang", "#!/bin/sh\nsleep 300 & sleep 300\n"),
            "large": script("large", f"#!/bin/sh\nhead -c {RESULT_BYTES_MAX + 1} /dev/zero\n"),
            "full": script("full", f"#!/bin/sh\nhead -c {RESULT_BYTES_MAX} /dev/zero\n"),
            "deaf": script("deaf", "#!/bin/sh\necho did not read\n"),
            "signal": script("signal", "#!/bin/sh\nkill -SEGV $$\n"),
        }
        self.manager = self.lab.manager(QUICK)
        self.http = self.manager.http()
        arguments = ["--slots", "4"]
        for name, program in programs.items():
            arguments += ["--command", f"{name}={program}"]
        self.worker = self.lab.worker(self.manager, arguments)

    def run_command(self, program, body=b"", **params):
        return self.finished(self.http, self.enqueue_command(self.http, program, body, **params))

    def test_the_body_is_its_input_and_the_output_its_result(self):
        body = bytes(range(256)) * 3000
        task = self.run_command("cat", body)
        self.assertEqual(task["state"], "done", task)
        answer = self.http.get(f"/v1/tasks/{task['id']}/result")
        self.assertEqual((answer.status, answer.body), (200, body))
        self.assertEqual(self.run_command("args")["result"], "one-two")
        self.assertEqual(self.run_command("cat").get("result", ""), "")  # an empty result is a result

    def test_a_body_that_the_program_does_not_read_harms_nothing(self):
        task = self.run_command("deaf", b"x" * (1 << 20))
        self.assertEqual((task["state"], task["result"]), ("done", "did not read\n"), task)

    def test_a_result_of_the_largest_size_is_taken_and_a_larger_one_is_not_retried(self):
        task = self.run_command("full")
        self.assertEqual((task["state"], task["result_bytes"]), ("done", RESULT_BYTES_MAX), task)
        task = self.run_command("large")
        self.assertEqual((task["state"], task["attempts_failed"]), ("dead", 1), task)
        self.assertIn("larger than", task["errors"][0]["message"])

    def test_an_exit_code_is_a_failure_that_is_retried_until_the_attempts_are_used_up(self):
        task = self.run_command("fail", max_attempts=2)
        self.assertEqual((task["state"], task["attempts_failed"]), ("dead", 2), task)
        self.assertEqual(len(task["errors"]), 2)
        for error in task["errors"]:
            self.assertIn("3", error["message"])
            self.assertIn("it is broken", error["message"])
        task = self.run_command("signal", max_attempts=1)
        self.assertEqual(task["state"], "dead")
        self.assertIn("signal", task["errors"][0]["message"])

    def test_a_program_past_its_timeout_is_ended_with_all_that_it_started(self):
        task = self.run_command("hang", timeout="300ms", max_attempts=1)
        self.assertEqual((task["state"], task["errors"][0]["end"]), ("dead", "run_timeout"), task)
        mine = {self.manager.pid, self.worker.pid}
        wait_until(lambda: set(self.lab.survivors()) <= mine, "the program and its children are gone")

    def test_a_cancelled_program_is_ended(self):
        task = self.enqueue_command(self.http, "hang")
        wait_until(lambda: self.task(self.http, task)["state"] == "leased", "it runs")
        self.assertEqual(self.http.delete(f"/v1/tasks/{task}").status, 200)
        mine = {self.manager.pid, self.worker.pid}
        wait_until(lambda: set(self.lab.survivors()) <= mine, "the program and its children are gone")
        self.assertEqual(self.task(self.http, task)["state"], "cancelled")

    def test_a_program_that_no_worker_lists_waits_and_says_why(self):
        task = self.enqueue_command(self.http, "unlisted")
        # A later one that is listed passes it.
        self.assertEqual(self.run_command("cat", b"x")["state"], "done")
        seen = self.task(self.http, task)
        self.assertEqual(seen["state"], "queued")
        self.assertIn("unlisted", seen["explanation"])
        # Nor can a path stand for a name.
        self.assert_problem(self.http.post("/v1/tasks?kind=command&program=/bin/sh"), 400, "invalid")
        self.assert_problem(self.http.post("/v1/tasks?kind=command"), 400, "invalid")


if __name__ == "__main__":
    unittest.main(verbosity=2)
