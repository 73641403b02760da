# SPDX-License-Identifier: Apache-2.0
"""Goal: a program of a worker's configuration gets what a client may say and nothing else, and what it used is told.

Method: a manager and a worker with a configuration file, tasks over HTTP and by the command line.
"""
import unittest

from harness import ProcessTest

PROGRAMS = """
[command.show]
run = "/bin/sh -c 'printf \\"%s|\\" \\"$@\\"; cat' x {width} {name}"
parameter = ["width=1..4000", "name=text"]
time = "20s"

[command.work]
run = "/usr/bin/perl -e 'my $x = \\"x\\" x 60_000_000; my $n = 0; $n += $_ for 1..3_000_000; print STDERR \\"said\\n\\"; exit shift' {code}"
parameter = "code=0..9"
memory = "256MiB"
success = "0,1"
permanent = "2"

[command.trace]
run = "/bin/sh -c 'echo $TRACEPARENT $TRACESTATE; exit $0' {code}"
parameter = "code=0..9"
"""

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"


class Programs(ProcessTest):
    def setUp(self):
        super().setUp()
        self.manager = self.lab.manager()
        self.http = self.manager.http()
        self.worker = self.lab.worker(self.manager, ["--config", self.lab.script("skep.toml", PROGRAMS), "--log-level", "info"])

    def run_task(self, program, body=b"", **parameters):
        query = "".join(f"&parameter={name}%3D{value}" for name, value in parameters.items())
        answer = self.http.post(f"/v1/tasks?kind=command&program={program}&max_attempts=2{query}", body)
        self.assertEqual(answer.status, 200, answer)
        return self.finished(self.http, answer.json()["id"])

    def test_values_are_arguments_and_nothing_else(self):
        done = self.run_task("show", b"the body", width=200, name="a%20b%3B%24(id)")
        self.assertEqual(done["result"], "200|a b;$(id)|the body")
        self.assertEqual(done["options"]["parameters"], ["width=200", "name=a b;$(id)"])
        for width, name, words in ((4001, "x", "must be a whole number from 1 to 4000"), (1, "-rf", "begins with a dash"),
                                   (1, "a%0Ab", "has a control character")):
            dead = self.run_task("show", width=width, name=name)
            self.assertEqual((dead["state"], dead["attempts_failed"]), ("dead", 1))
            self.assertIn(words, dead["errors"][0]["message"])
        self.assertIn("parameter 'name' is missing", self.run_task("show", width=1)["reason"])
        self.assertIn("the program has no parameter 'more'", self.run_task("show", width=1, name="x", more=1)["reason"])
        self.assert_problem(self.http.post("/v1/tasks?kind=command&program=show&parameter=a%3D%00", b""), 400, "invalid")
        self.assert_problem(self.http.post("/v1/tasks?iterations=1&parameter=a%3D1", b""), 400, "invalid")

    def test_what_it_used_is_told_and_its_exit_codes_count(self):
        done = self.run_task("work", code=1)
        self.assertEqual(done["state"], "done")
        self.assertGreater(done["cpu_us"], 10_000)
        self.assertGreater(done["memory_peak_bytes"], 60_000_000)
        dead = self.run_task("work", code=2)
        self.assertEqual((dead["state"], dead["errors"][0]["message"]), ("dead", "exit code 2: said"))
        self.assertEqual(dead["attempts_failed"], 1)
        used = dead["cpu_us"]
        twice = self.run_task("work", code=3)
        self.assertEqual((twice["state"], twice["attempts_failed"]), ("dead", 2))
        self.assertGreater(twice["cpu_us"], used, "of both attempts")
        text = self.lab.run("explain", "task", twice["id"], "--manager", self.manager.url).stdout.decode()
        self.assertRegex(text, r"Its attempts used \S+ of processor time in all, and [\d.]+ MiB of memory at most")
        text = self.lab.run("get", twice["id"], "--manager", self.manager.url).stdout.decode()
        self.assertRegex(text, r"parameter +code=3\n")

    def test_a_trace_goes_from_the_client_to_the_program_and_into_the_logs(self):
        headers = {"traceparent": PARENT, "tracestate": "congo=t61rcWkgMzE"}
        query = "/v1/tasks?kind=command&program=trace&max_attempts=1&parameter=code%3D"
        done = self.finished(self.http, self.http.post(query + "0", b"", headers=headers).json()["id"])
        self.assertEqual(done["result"], f"{PARENT} congo=t61rcWkgMzE\n")
        dead = self.finished(self.http, self.http.post(query + "1", b"", headers=headers).json()["id"])
        self.assertEqual(dead["state"], "dead")
        self.assertRegex(self.manager.log(), rf"task is dead task={dead['id']} .*trace_id={TRACE_ID}")
        self.assertRegex(self.worker.log(), rf"task fails lease={dead['id']}\S+ .*trace_id={TRACE_ID}")
        self.assertEqual(self.run_task("trace", code=0)["result"], "\n")
        text = self.lab.run("get", dead["id"], "--manager", self.manager.url).stdout.decode()
        self.assertRegex(text, rf"trace +{TRACE_ID}\n")
        done = self.lab.run("enqueue", "/dev/null", "--kind", "command", "--program", "trace", "--parameter", "code=0",
                            "--wait", "--manager", self.manager.url, environment={"TRACEPARENT": PARENT})
        enqueued = self.task(self.http, done.stdout.decode().split()[0])
        self.assertEqual((enqueued["state"], enqueued["options"]["traceparent"]), ("done", PARENT))

    def test_the_worker_says_what_holds_its_limits(self):
        self.run_task("show", width=1, name="x")
        self.assertRegex(self.worker.log(), r"limits of commands are held.*memory by (cgroup|rlimit)")

    def test_the_command_line_gives_values(self):
        done = self.lab.run("enqueue", "/dev/null", "--kind", "command", "--program", "show", "--parameter", "width=3",
                            "--parameter", "name=x y", "--wait", "--manager", self.manager.url)
        self.assertIn("3|x y|", done.stdout.decode())


if __name__ == "__main__":
    unittest.main(verbosity=2)
