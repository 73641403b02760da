# SPDX-License-Identifier: Apache-2.0
"""Goal: `skep run` does what GNU parallel's users expect, here and on a fleet, and a killed run goes on where it was.

Method: the command as a person types it, over files of this test's own; programs that leave a line for each run, so
that nothing can run twice unseen; SIGKILL and Ctrl-C in the middle of a run.
"""
import os
import signal
import unittest

from harness import BIN, PATIENCE, Process, ProcessTest, wait_until


class Run(ProcessTest):
    def setUp(self):
        super().setUp()
        self.state = {"XDG_STATE_HOME": self.lab.path("state")}

    def files(self, count):
        names = []
        for i in range(count):
            names.append(self.lab.path(f"file {i}.txt"))
            with open(names[-1], "w", encoding="utf-8") as file:
                file.write(f"content {i}\n")
        return names

    def run_skep(self, *arguments, stdin=None):
        done = self.lab.run("run", *arguments, environment=self.state, stdin=stdin)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def jobs(self):
        folder = self.lab.path("state", "skep", "run")
        return os.listdir(folder) if os.path.isdir(folder) else []

    def test_each_file_is_one_run_and_all_output_comes_back(self):
        names = self.files(20)
        code, out, err = self.run_skep("--parallel", "-k", "--", "cat", "{}", ":::", *names)
        self.assertEqual((code, out, err), (0, "".join(f"content {i}\n" for i in range(20)), ""))
        code, out, _ = self.run_skep("--parallel", "-j", "3", "--", "cat", stdin=("\n".join(names) + "\n").encode())
        self.assertEqual((code, sorted(out.split("\n"))), (0, sorted([f"content {i}" for i in range(20)] + [""])))
        code, out, _ = self.run_skep("--parallel", "-0", "-k", "--", "echo", "{/.}", "{#}", stdin="\0".join(names[:3]).encode())
        self.assertEqual((code, out), (0, "file 0 1\nfile 1 2\nfile 2 3\n"))
        self.assertEqual(self.jobs(), [], "a run that is over leaves nothing")

    def test_what_fails_is_listed_and_counted(self):
        code, out, err = self.run_skep("--parallel", "-k", "--", "sh", "-c", 'echo "out $1"; echo "err $1" >&2; exit $1',
                                       "x", "{}", ":::", "0", "3", "0", "7")
        self.assertEqual((code, out), (2, "out 0\nout 3\nout 0\nout 7\n"))
        self.assertIn("skep: 2 of 4 failed:\n  3: exit code 3\n  7: exit code 7\n", err)
        self.assertIn("err 3\n", err)
        code, _, err = self.run_skep("--parallel", "--", "false", "{}", ":::", *[str(i) for i in range(101)])
        self.assertEqual(code, 101)
        self.assertIn("and 81 more", err)
        code, _, err = self.run_skep("--parallel", "--timeout", "100ms", "--", "sleep", "{}", ":::", "0", "1000")
        self.assertEqual(code, 1)
        self.assertIn("1000: ran longer than 100ms", err)

    def test_an_item_that_fails_is_run_again_if_that_is_asked_for(self):
        script = 'echo x >> "$1"; [ "$(wc -l < "$1")" -ge 3 ]'
        log = self.lab.path("runs")
        code, _, _ = self.run_skep("--parallel", "--retries", "2", "--", "sh", "-c", script, "x", "{}", ":::", log)
        self.assertEqual(code, 1)
        code, _, _ = self.run_skep("--parallel", "--retries", "2", "--", "sh", "-c", script, "x", "{}", ":::", log)
        self.assertEqual(code, 0)

    def test_one_program_alone(self):
        self.assertEqual(self.run_skep("--", "sh", "-c", "echo alone; exit 5"), (5, "alone\n", ""))
        self.assertEqual(self.run_skep("--", "sh", "-c", "kill -TERM $$"), (143, "", "skep: killed by signal 15 (Terminated)\n"))

    def test_what_can_not_be_run_is_one_sentence(self):
        def refused(words, *arguments, stdin=b""):
            code, out, err = self.run_skep(*arguments, stdin=stdin)
            self.assertEqual((code, out), (255, ""), err)
            self.assertIn(words, err)
            self.assertEqual(err.count("\n"), 1, err)
        refused("say what to run behind --", "--parallel")
        refused("say what to run behind --", "--parallel", "--", ":::", "x")
        refused("::: is for many", "--", "cat", ":::", "x")
        refused("more than one :::", "--parallel", "--", "cat", ":::", "x", ":::", "y")
        refused("would be run: give it as an argument of its own", "--parallel", "--", "sh", "-c", "cat {}", ":::", "x")
        refused("there is no executable file", "--parallel", "--", "no-such-program", ":::", "x")
        refused("is longer than 4096 bytes", "--parallel", "--", "cat", ":::", "x" * 5000)
        refused("can not be read", "--parallel", "--items", self.lab.path("none"), "--", "cat")
        self.assertEqual(self.run_skep("--parallel", "--", "cat")[:2], (0, ""), "no items: nothing to do")

    def begin_and_stop(self, number, count=60):
        """Stops a run with `number` after ten of its items; gives the lines that its programs left."""
        log = self.lab.path("log")
        self.command = [BIN, "run", "--parallel", "-k", "--", "sh", "-c",
                        'echo "$1" >> "$2"; sleep 0.2; echo "did $1"', "x", "{}", log, ":::"] + [str(i) for i in range(count)]
        run = Process(self.lab, "run", self.command, self.state)
        wait_until(lambda: os.path.exists(log) and len(self.lines(log)) >= 10, "ten items have begun")
        run.signal(number)
        code = run.wait()
        self.assertLess(len(self.lines(log)), count)
        return code, run, log

    @staticmethod
    def lines(path):
        with open(path, encoding="utf-8") as file:
            return file.read().split("\n")[:-1]

    def go_on(self, log, count=60):
        done = self.lab.run(*self.command[1:], environment=self.state)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.decode(), "".join(f"did {i}\n" for i in range(count)))
        self.assertEqual(self.jobs(), [])
        lines = self.lines(log)
        self.assertEqual(sorted(set(lines), key=int), [str(i) for i in range(count)])
        return len(lines) - count

    def test_a_killed_run_goes_on(self):
        code, _, log = self.begin_and_stop(signal.SIGKILL)
        self.assertEqual(code, -signal.SIGKILL)
        wait_until(lambda: not self.lab.survivors(), "the worker and its programs are gone")
        self.assertEqual(len(self.jobs()), 1)
        twice = self.go_on(log)
        # Those that were being run, or had ended in that moment.
        self.assertLessEqual(twice, 2 * os.cpu_count() + 4)

    def test_an_interrupted_run_goes_on_and_says_how_far_it_was(self):
        code, run, log = self.begin_and_stop(signal.SIGINT)
        self.assertEqual(code, 130)
        self.assertRegex(run.log(), r"skep: interrupted: \d+ of 60 are done; the same command goes on from there")
        self.assertEqual(self.lab.survivors(), [])
        self.assertEqual(self.go_on(log), 0, "what was begun was let end")

    def test_a_fresh_run_forgets(self):
        _, _, log = self.begin_and_stop(signal.SIGINT)
        before = len(self.lines(log))
        self.command.insert(3, "--fresh")
        self.assertEqual(self.go_on(log), before)

    def test_on_a_fleet_the_files_travel(self):
        manager = self.lab.manager()
        self.lab.worker(manager, ["--command", "count=/usr/bin/wc -c", "--command", "fails=/bin/false",
                                  "--command", "say=/bin/echo {what}", "--command-option", "say.parameter=what=word"])
        names = self.files(10)
        at = ("--parallel", "-k", "--manager", manager.url)
        code, out, err = self.run_skep(*at, "--", "count", "{}", ":::", *names)
        self.assertEqual((code, out), (0, "10\n" * 10), err)
        again = self.run_skep(*at, "-j", "1", "--", "count", ":::", *names)
        self.assertEqual(again[:2], (0, "10\n" * 10), "a run that was there before is another one")
        self.assertEqual(self.run_skep(*at, "--", "say", "what={}", ":::", "a", "b")[:2], (0, "a\nb\n"))
        code, _, err = self.run_skep(*at, "--", "say", "what={}", ":::", "a", "-b")
        self.assertEqual(code, 1)
        self.assertIn("-b: parameter 'what' begins with a dash", err)
        code, _, err = self.run_skep(*at, "--", "fails", "{}", ":::", *names[:2])
        self.assertEqual(code, 2)
        self.assertIn("exit code 1", err)
        code, _, err = self.run_skep(*at, "--", "/bin/rm", "{}", ":::", *names)
        self.assertEqual(code, 255)


if __name__ == "__main__":
    unittest.main(verbosity=2)
