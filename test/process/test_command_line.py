# SPDX-License-Identifier: Apache-2.0
"""The command line: help with examples, JSON, exit codes, and one configuration in three places."""
import json
import os
import re
import unittest

from harness import ProcessTest, Process, BIN, reference, subcommands, wait_until

EXIT_NO, EXIT_INVALID, EXIT_NOT_FOUND, EXIT_CONFLICT, EXIT_UNAVAILABLE = 1, 2, 4, 5, 9
NO_TASK = "00000g00000000000001"


class Cli(ProcessTest):
    def skep(self, *arguments, code=0, **kwargs):
        """Runs it and checks how it ends: an error is one sentence on stderr and nothing on stdout."""
        ended = self.lab.run(*arguments, **kwargs)
        text = ended.stderr.decode()
        self.assertEqual(ended.returncode, code, f"{arguments}: {text}{ended.stdout.decode()[:500]}")
        if code not in (0, EXIT_NO):
            self.assertTrue(text.startswith("skep: "), text)
            self.assertEqual(text.count("\n"), 1, text)
            return text
        return ended.stdout.decode()

    def file(self, name, content):
        path = self.lab.path(name)
        with open(path, "wb") as file:
            file.write(content)
        return path


class Words(Cli):
    def test_every_command_has_help_with_an_example(self):
        names = subcommands()
        for name in ("up", "manager", "worker", "enqueue", "pull", "get", "cancel", "retry", "status", "explain",
                     "version"):
            self.assertIn(name, names)
        for name in names:
            with self.subTest(name):
                text = self.skep(name, "--help")
                self.assertIn(f"Usage: skep {name}", text)
                self.assertTrue(text.endswith("\n"))
                if name != "version":
                    self.assertRegex(text, rf"Example: .*skep {name}")
        for name in ("pull", "get", "cancel", "retry", "status", "explain", "enqueue"):
            text = self.skep(name, "--help")
            self.assertIn("--json", text)
            self.assertIn("--manager", text)

    def test_the_version(self):
        self.assertRegex(self.skep("version"), r"^skep \d+\.\d+\.\d+\n$")
        self.assertEqual(self.skep("--version"), self.skep("version"))

    def test_wrong_words_are_named(self):
        for arguments, named in [(["nonsense"], "nonsense"), (["up", "--colour"], "--colour"),
                                 (["up", "extra"], "extra"), (["get"], "ID"), (["explain", "weather"], "weather"),
                                 (["explain", "task"], "ID"), (["up", "--heartbeat", "5x"], "5x"),
                                 (["up", "--max-workers", "many"], "many"), (["up", "--slots", "1001"], "--slots"),
                                 (["up", "--store", "floppy:A"], "floppy:A"), (["worker", "--command", "x"], "x"),
                                 (["worker", "--manager", "ftp://a"], "ftp"), (["get", "x", "--manager", ""], ""),
                                 (["up", "--log-level", "loud"], "loud"),
                                 (["up", "--listen", "nowhere", "--store", "memory:"], "nowhere"),
                                 (["up", "--listen", "127.0.0.1:99999", "--store", "memory:"], "99999"),
                                 (["up", "--min-workers", "2", "--max-workers", "1", "--store", "memory:"], "min-workers"),
                                 (["up", "--heartbeat", "9s", "--worker-timeout", "5s", "--store", "memory:"], "heartbeat"),
                                 (["worker", "--command", "x=/no/such/program"], "/no/such/program")]:
            with self.subTest(arguments):
                self.assertIn(named, self.skep(*arguments, code=EXIT_INVALID))

    def test_without_words_it_says_where_to_start(self):
        ended = self.lab.run()
        self.assertEqual((ended.returncode, ended.stdout), (EXIT_INVALID, b""))
        for words in ("skep --help", "skep demo", "skep run --parallel", "skep up"):
            self.assertIn(words, ended.stderr.decode())

    def test_no_manager_is_there(self):
        text = self.skep("status", "--manager", "http://127.0.0.1:9", code=EXIT_UNAVAILABLE)
        self.assertIn("127.0.0.1:9", text)


class Configuration(Cli):
    def effective(self, *arguments, **kwargs):
        text = self.skep("up", "--check-config", *arguments, **kwargs)
        return {name: value.strip('"') for name, value in
                (line.split(" = ", 1) for line in text.splitlines() if not line.startswith("#"))}

    def test_a_flag_wins_over_the_environment_which_wins_over_the_file(self):
        path = self.file("skep.toml", b'max-workers = 7\nlease = "20s"\ncommand = ["a=cat", "b=cat -n"]\n')
        environment = {"SKEP_MAX_WORKERS": "8"}
        self.assertEqual(self.effective("--config", path)["max-workers"], "7")
        self.assertEqual(self.effective("--config", path)["command"], '["a=cat", "b=cat -n"]')
        self.assertEqual(self.effective("--config", path, environment=environment)["max-workers"], "8")
        flags = self.effective("--config", path, "--max-workers", "9", environment=environment)
        self.assertEqual((flags["max-workers"], flags["lease"]), ("9", "20s"))

    def test_what_it_prints_can_be_its_file(self):
        for flags in ([], ["--sibling", "a:1", "--sibling", "b:2", "--insecure", "--slots", "3"]):
            text = self.skep("up", "--check-config", *flags)
            path = self.file("effective.toml", text.encode())
            self.assertEqual(self.skep("up", "--check-config", "--config", path), text)

    def test_every_option_of_up_has_its_place_in_the_environment(self):
        text = self.skep("up", "--help")
        for name in re.findall(r"^  (--[a-z-]+)", text, re.MULTILINE):
            variable = "SKEP_" + name[2:].upper().replace("-", "_")
            self.assertIn(f"Env:{variable})", text)

    def test_what_is_wrong_in_the_file_is_named(self):
        for content, named in [(b"colour = 1\n", "colour"), (b"max-workers = many\n", "many"),
                               (b"[up]\ncolour = 1\n", "colour")]:
            path = self.file("bad.toml", content)
            self.assertIn(named, self.skep("up", "--config", path, "--check-config", code=EXIT_INVALID))
        missing = self.lab.path("missing.toml")
        self.assertIn(missing, self.skep("up", "--config", missing, "--check-config", code=EXIT_INVALID))
        self.skep("up", "--check-config", environment={"SKEP_MAX_WORKERS": "many"}, code=EXIT_INVALID)

    def test_the_manager_can_be_named_by_the_environment_and_the_flag_wins(self):
        manager = self.lab.manager()
        self.skep("status", environment={"SKEP_MANAGER": manager.url})
        self.skep("status", "--manager", manager.url, environment={"SKEP_MANAGER": "http://127.0.0.1:9"})


class Commands(Cli):
    def setUp(self):
        super().setUp()
        self.manager = self.lab.manager()
        self.http = self.manager.http()
        self.url = ["--manager", self.manager.url]

    def test_enqueue_wait_pull_and_get(self):
        self.lab.worker(self.manager, ["--slots", "2"])
        one, two = self.file("one", b"the first"), self.file("two", os.urandom(100_000))
        text = self.skep("enqueue", one, two, "--iterations", "3", "--wait", *self.url)
        lines = [line.split() for line in text.splitlines()]
        with open(two, "rb") as file:
            expected = [reference(b"the first", 3), reference(file.read(), 3)]
        self.assertEqual([line[2] for line in lines], expected)
        self.assertEqual([line[1] for line in lines], [one, two])
        ids = [line[0] for line in lines]
        self.assertEqual(self.skep("pull", *self.url), "", "what was waited for and shown is delivered")
        others = [line.split()[0] for line in self.skep("enqueue", one, two, "-n", "2", *self.url).splitlines()]
        for task in others:
            self.finished(self.http, task)
        text = self.skep("pull", "--top", "1", *self.url)
        self.assertEqual(len(text.splitlines()), 1)
        text += self.skep("pull", "--json", *self.url)
        self.assertEqual({task for task in others if task in text}, set(others))
        self.assertEqual(self.skep("pull", *self.url), "")
        self.assertIn(expected[0], self.skep("get", ids[0], *self.url))
        task = json.loads(self.skep("get", ids[1], "--json", *self.url))
        self.assertEqual((task["state"], task["result"]), ("done", expected[1]))

    def test_enqueue_from_standard_input_with_options(self):
        ended = self.lab.run("enqueue", "-", "-n", "1", "--json", "--queue", "night", "--priority", "9", "--tag", "a",
                             "--tag", "b", "--delay", "1h", "--key", "k", "--max-attempts", "2", "--timeout", "3s",
                             *self.url, stdin=b"piped")
        self.assertEqual(ended.returncode, 0, ended.stderr)
        task = self.task(self.http, json.loads(ended.stdout)["id"])
        options = task["options"]
        self.assertEqual(task["state"], "delayed")
        self.assertEqual((options["queue"], options["priority"], options["tags"], options["max_attempts"],
                          options["timeout_ms"], options["idempotency_key"]), ("night", 9, ["a", "b"], 2, 3000, "k"))

    def test_what_can_not_be_enqueued(self):
        good = self.file("good", b"good")
        large = self.file("large", b"x" * ((1 << 20) + 1))
        for arguments, named in [([self.lab.path("missing")], "missing"), ([self.lab.directory], "directory"),
                                 ([large], "large"), ([good, self.lab.path("missing")], "missing")]:
            self.assertIn(named, self.skep("enqueue", *arguments, "-n", "1", *self.url, code=EXIT_INVALID))
        self.assertIn("--iterations is missing", self.skep("enqueue", good, *self.url, code=EXIT_INVALID))
        for wrong in ("-5", "0", "1e6", "18446744073709551616"):
            text = self.skep("enqueue", good, "--iterations", wrong, *self.url, code=EXIT_INVALID)
            self.assertIn(wrong, text)
        self.assertEqual(self.http.get("/v1/tasks").json().get("tasks", []), [], "all files or none")

    def test_cancel_retry_and_their_refusals(self):
        task = self.enqueue(self.http, b"x")
        self.assertIn("queued", self.skep("retry", task, *self.url, code=EXIT_CONFLICT))
        self.assertIn("cancelled", self.skep("cancel", task, *self.url))
        self.assertEqual(json.loads(self.skep("cancel", task, "--json", *self.url))["state"], "cancelled")
        for command in ("get", "cancel", "retry"):
            self.skep(command, NO_TASK, *self.url, code=EXIT_NOT_FOUND)
            self.skep(command, "nonsense", *self.url, code=EXIT_INVALID)
        self.lab.worker(self.manager, ["--command", "false=false"])
        dead = self.enqueue_command(self.http, "false", max_attempts=1)
        self.assertEqual(self.finished(self.http, dead)["state"], "dead")
        self.assertIn("exit", self.skep("explain", "task", dead, *self.url))
        self.skep("cancel", dead, *self.url, code=EXIT_CONFLICT)
        self.assertIn("false", self.skep("retry", dead, *self.url))

    def test_enqueue_wait_of_a_task_that_dies_says_no(self):
        self.lab.worker(self.manager, ["--command", "false=false"])
        path = self.file("input", b"x")
        text = self.skep("enqueue", path, "--kind", "command", "--program", "false", "--max-attempts", "1", "--wait",
                         *self.url, code=EXIT_NO)
        self.assertIn("dead", text)

    def test_enqueue_wait_says_what_it_waits_for(self):
        path = self.file("input", b"x")
        client = Process(self.lab, "client", [BIN, "enqueue", path, "-n", "1", "--wait", *self.url])
        wait_until(lambda: "is queued. It has waited in queue 'default'" in client.log(), "it says so")
        self.assertIn("No worker is registered.", client.log())
        directory, port = self.manager.directory, int(self.manager.address.rpartition(":")[2])
        self.manager.kill()
        wait_until(lambda: "no manager answers yet" in client.log(), "it says that, too")
        self.lab.worker(self.lab.manager(directory=directory, port=port))
        self.assertEqual(client.wait(), 0, client.log())
        for line in ("It has waited", "no manager answers"):
            self.assertEqual(client.log().count(line), 1, "once")

    def test_more_cores_than_there_are_is_worth_a_warning(self):
        worker = self.lab.worker(self.manager, ["--cores", str(len(os.sched_getaffinity(0)) + 1)])
        wait_until(lambda: self.active_workers(self.http), "the worker is there")
        self.assertEqual(worker.log().count("more threads compute than there are processors"), 1)
        other = self.lab.worker(self.manager, ["--cores", "1"])
        wait_until(lambda: len(self.active_workers(self.http)) == 2, "the other one, too")
        self.assertNotIn("processors", other.log())

    def test_status_and_explain(self):
        task = self.enqueue(self.http, b"waits")
        text = self.skep("status", *self.url)
        self.assertIn(self.manager.address, text)
        self.assertIn("1 queued", text)
        self.assertEqual(json.loads(self.skep("status", "--json", *self.url))["tasks"]["queued"], 1)
        self.assertIn("worker", self.skep("explain", "task", task, *self.url))
        self.assertEqual(json.loads(self.skep("explain", "task", task, "--json", *self.url))["id"], task)
        self.assertIn("wanted", self.skep("explain", "scaling", *self.url))
        self.assertIn("decisions", json.loads(self.skep("explain", "scaling", "--json", *self.url)))
        self.skep("explain", "worker", "w9", *self.url, code=EXIT_NOT_FOUND)
        self.lab.worker(self.manager, ["--name", "bee", "--slots", "1"])
        wait_until(lambda: self.active_workers(self.http), "the worker is there")
        self.assertRegex(self.skep("explain", "worker", "bee", *self.url), r"bee.* tasks? in 1 slot, completed")
        self.assertEqual(json.loads(self.skep("explain", "worker", "bee", "--json", *self.url))["name"], "bee")
        self.assertIn("bee", self.skep("status", *self.url))

    def test_status_watch_goes_on_until_nobody_reads(self):
        watch = Process(self.lab, "status", [BIN, "status", "--watch", *self.url])
        self.assertIn("manager", watch.wait_for_first_line())
        self.assertTrue(watch.is_running())
        watch.kill()


@unittest.skipUnless("verify" in subcommands(), "this skep has no verify")
class Verify(Cli):
    def test_a_sound_store_is_clean_and_a_flipped_byte_is_found_and_named(self):
        manager = self.lab.manager()
        http = manager.http()
        self.lab.worker(manager)
        tasks = [self.enqueue(http, os.urandom(20_000), 3) for _ in range(30)]
        for task in tasks:
            self.finished(http, task)
        self.assertEqual(manager.terminate()[0], 0)
        self.skep("verify", manager.directory)
        for name in sorted(os.listdir(manager.directory)):
            path = os.path.join(manager.directory, name)
            if name.rpartition(".")[2] not in ("sst", "blob") or not os.path.getsize(path):
                continue
            with self.subTest(name), open(path, "r+b") as file:
                data = file.read()
                at = len(data) // 3
                file.seek(at)
                file.write(bytes([data[at] ^ 1]))
                file.flush()
                ended = self.lab.run("verify", manager.directory)
                self.assertEqual(ended.returncode, EXIT_NO, ended)
                self.assertIn(name, (ended.stdout + ended.stderr).decode())
                file.seek(at)
                file.write(data[at:at + 1])
        self.skep("verify", manager.directory)

    def test_what_is_no_store_is_refused(self):
        manager = self.lab.manager()
        self.assertEqual(manager.terminate()[0], 0)
        self.skep("verify", "rocksdb:" + manager.directory)
        self.skep("verify", "log:" + manager.directory, code=EXIT_INVALID)
        self.skep("verify", self.lab.path("missing"), code=EXIT_NOT_FOUND)
        self.skep("verify", self.file("file", b"no store"), code=EXIT_INVALID)


if __name__ == "__main__":
    unittest.main(verbosity=2)
