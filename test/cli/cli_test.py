#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: the command line and its three places for settings behave as docs/operating.md says.

Method: the real binary with --check-config, --help and wrong input; nothing here needs a manager.
"""

import json
import os
import re
import subprocess
import tempfile
import unittest

SKEP = os.environ["SKEP_BIN"]
USAGE = 2


def skep(*arguments: str, env: dict[str, str] | None = None, stdin: str = "") -> subprocess.CompletedProcess:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SKEP_")}
    return subprocess.run([SKEP, *arguments], env={**clean, **(env or {})}, input=stdin, capture_output=True,
                          text=True, timeout=60, check=False)


def settings(text: str) -> dict[str, str]:
    return dict(line.split(" = ", 1) for line in text.splitlines() if not line.startswith("#"))


def commands() -> list[str]:
    listed = skep("--help").stdout.split("Subcommands:")[1].split("\n\n")[0]
    return re.findall(r"^  (\w+)", listed, re.MULTILINE)


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def file(self, text: str, name: str = "skep.toml") -> str:
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        return path

    def checked(self, text: str, *arguments: str, command: str = "up", env: dict[str, str] | None = None):
        return skep(command, "--check-config", "--config", self.file(text), *arguments, env=env)

    def refused(self, result: subprocess.CompletedProcess, words: str):
        self.assertEqual((result.returncode, result.stdout), (USAGE, ""), result.stderr)
        self.assertIn(words, result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)


class Settings(Files):
    TEXT = 'max-workers = 3\ntarget-wait = "45s"\nsibling = ["a:1", "b:2"]\ncommand = ["up=/bin/tr a-z A-Z", "b=/bin/cat"]\n' \
           'insecure = true\nlog-level = "debug"\n'

    def test_a_flag_wins_over_the_environment_which_wins_over_the_file(self):
        env = {"SKEP_MAX_WORKERS": "7"}
        self.assertEqual(settings(self.checked(self.TEXT).stdout)["max-workers"], "3")
        self.assertEqual(settings(self.checked(self.TEXT, env=env).stdout)["max-workers"], "7")
        self.assertEqual(settings(self.checked(self.TEXT, "--max-workers", "9", env=env).stdout)["max-workers"], "9")

    def test_an_empty_variable_is_none(self):
        self.assertEqual(settings(self.checked(self.TEXT, env={"SKEP_MAX_WORKERS": ""}).stdout)["max-workers"], "3")

    def test_the_effective_configuration_is_a_configuration_file(self):
        first = self.checked(self.TEXT)
        self.assertEqual(first.returncode, 0, first.stderr)
        self.assertEqual(self.checked(first.stdout).stdout, first.stdout)
        self.assertEqual(settings(first.stdout)["sibling"], '["a:1", "b:2"]')
        self.assertEqual(settings(first.stdout)["insecure"], "true")
        self.assertEqual(settings(first.stdout)["log-level"], '"debug"')

    def test_config_may_stand_before_the_command(self):
        before = skep("--config", self.file(self.TEXT), "--check-config", "up")
        self.assertEqual(before.stdout, self.checked(self.TEXT).stdout)

    def test_variables_hold_lists_too(self):
        env = {"SKEP_SIBLING": "a:1,b:2", "SKEP_COMMAND": "x=/bin/a b;y=/bin/c"}
        found = settings(skep("up", "--check-config", env=env).stdout)
        self.assertEqual((found["sibling"], found["command"]), ('["a:1", "b:2"]', '["x=/bin/a b;y=/bin/c"]'))

    def test_a_semicolon_in_quotes_is_the_programs(self):
        text = "sh=/bin/sh -c \"echo a; echo 'b'\""
        for name in ("up", "worker"):
            shown = skep(name, "--check-config", "--command", text)
            self.assertEqual(settings(shown.stdout)["command"], '["sh=/bin/sh -c \\"echo a; echo \'b\'\\""]', shown.stderr)
            again = self.checked(shown.stdout, command=name)
            self.assertEqual((again.stdout, again.stderr), (shown.stdout, ""))
        for wrong, word in (("x=/bin/a; -c", "needs quotes"), ("x=/bin/echo don't", "without an end"),
                            (";", "no program"), ("x=", "NAME=PROGRAM")):
            self.refused(skep("worker", "--check-config", "--command", wrong), word)

    def test_every_setting_of_every_command_has_its_variable(self):
        for command in commands():
            text = skep(command, "--help").stdout
            flags = set(re.findall(r"^  (?:-\w,)?--([a-z0-9-]+)", text, re.MULTILINE)) - {"help", "instance"}
            named = set(re.findall(r"Env:SKEP_(\w+)", text))
            self.assertEqual({flag.upper().replace("-", "_") for flag in flags}, named, command)

    PROGRAM = '[command.thumb]\nrun = "/bin/cat {width} {body}"\nparameter = ["width=1..4000"]\nmemory = "256MiB"\n' \
              'processes = 8\nnetwork = false\nbody = "file"\n[command.other]\nrun = "/bin/cat"\n'

    def test_a_program_has_a_section_of_its_own(self):
        for command in ("worker", "up", "manager"):
            with self.subTest(command=command):
                result = self.checked(self.PROGRAM, command=command)
                self.assertEqual(result.returncode, 0, result.stderr)
                found = settings(result.stdout)
                self.assertEqual(found["command"], '["thumb=/bin/cat {width} {body}", "other=/bin/cat"]')
                self.assertEqual(found["command-option"], '["thumb.parameter=width=1..4000", "thumb.memory=256MiB", '
                                                          '"thumb.processes=8", "thumb.network=false", "thumb.body=file"]')
        self.assertEqual(self.checked(self.PROGRAM, "x", command="get").returncode, 0)

    def test_what_is_wrong_with_a_program(self):
        refused = lambda text, words: self.refused(self.checked(self.PROGRAM + text, command="worker"), words)
        refused('[command.bad]\nrun = "/bin/cat"\nmemry = "1MiB"\n', "bad.memry: there is no such setting of a program")
        refused('[command.bad]\nrun = "/bin/cat"\nmemory = "1 lot"\n', "bad.memory: ")
        refused('[command.bad]\nrun = "/bin/cat"\nsuccess = "0-300"\n', "'0-300' is no list of exit codes")
        refused('[command.bad]\nmemory = "1MiB"\n', "no program 'bad' is listed")
        refused('[command.bad]\nrun = "{x}"\nparameter = "x=text"\n', "its path has a parameter")
        refused('[command.bad]\nrun = "/bin/sh -c \'echo {x}\'"\nparameter = "x=text"\n', "would be run")
        refused('[command.bad]\nrun = "/bin/cat"\nparameter = "x=text"\n', "no argument has {x}")

    def test_a_section_is_of_its_command_alone(self):
        text = "[up]\nmax-workers = 2\n[worker]\nslots = 4\n"
        self.assertEqual(settings(self.checked(text).stdout)["max-workers"], "2")
        self.assertEqual(settings(self.checked(text).stdout)["slots"], "0")
        self.assertEqual(settings(self.checked(text, command="worker").stdout)["slots"], "4")

    def test_another_commands_limits_do_not_matter(self):
        worker = skep("worker", "--check-config", env={"SKEP_SLOTS": "0"})  # up wants at least 1
        self.assertEqual(settings(worker.stdout)["slots"], "0", worker.stderr)


class Refusals(Files):
    def test_unknown_keys(self):
        self.refused(self.checked("nonsense = 1\n"), "'nonsense', which is no setting of skep up")
        self.refused(self.checked("max_workers = 1\n"), "'max_workers'")
        self.refused(self.checked("[worker]\nnonsense = 1\n"), "'worker.nonsense'")
        self.refused(self.checked("[nonsense]\nslots = 1\n"), "'nonsense.slots'")
        self.refused(self.checked('config = "other"\n'), "'config'")

    def test_unknown_variables(self):
        self.refused(skep("up", "--check-config", env={"SKEP_MAX_WORKER": "1"}), "SKEP_MAX_WORKER")

    def test_values_that_are_wrong(self):
        self.refused(self.checked('max-workers = "many"\n'), "--max-workers")
        self.refused(self.checked('target-wait = "5 parsecs"\n'), "--target-wait")
        self.refused(self.checked('command = ["nothing"]\n'), "is not NAME=PROGRAM")
        self.refused(self.checked('queue-objective = ["urgent"]\n'), "is not NAME=WAIT")
        self.refused(self.checked('worker-log-level = "loud"\n'), "is not a log level")
        self.refused(skep("up", "--check-config", "--config", os.path.join(self.folder, "none")), "can not be read: check that it exists")

    def test_settings_that_do_not_fit_together(self):
        for first in ((), ("--check-config",)):
            with self.subTest(first=first):
                self.do_not_fit_together(first)

    def do_not_fit_together(self, first: tuple[str, ...]):
        at = (*first, "--listen", "127.0.0.1:0", "--store", "memory:")
        self.refused(skep("up", *at, "--min-workers", "2", "--max-workers", "1"), "min-workers (2) is more")
        self.refused(skep("up", *at, "--heartbeat", "5s"), "worker-timeout must be longer")
        self.refused(skep("up", *at, "--lease", "1s"), "lease must be longer than heartbeat")
        self.refused(skep("up", *at, "--queue-objective", "a=5s,a=6s"), "queue 'a' has two objectives")
        self.refused(skep("up", *at, "--sibling", "a b"), "sibling")
        self.refused(skep("up", *at, "--advertise", "a b"), "advertise")
        self.refused(skep("up", *first, "--listen", "0.0.0.0:0", "--store", "memory:"), "--insecure")
        self.refused(skep("up", *first, "--store", "nothing"), "--store 'nothing' is not known")
        store = os.path.join(self.folder, "store")
        for address in ("127.0.0.1", "127.0.0.1:99999", "::1:80", ":80"):
            self.refused(skep("up", *first, "--listen", address, "--store", f"rocksdb:{store}"), "cannot listen on")
        self.assertFalse(os.path.exists(store), "what can not be listened on makes no store")
        self.refused(skep("worker", *first, "--manager", "http://"), "--manager")

    def test_commands_and_flags(self):
        alone = skep()
        self.assertEqual((alone.returncode, alone.stdout), (USAGE, ""))
        self.assertIn("skep --help", alone.stderr)
        self.assertIn("Start with:  skep demo", alone.stderr)
        self.refused(skep("nosuch"), "there is no command 'nosuch'")
        self.refused(skep("up", "--nosuch"), "'--nosuch' is not understood here: skep up --help lists what is")
        self.refused(skep("enqueue"), "FILE is missing: skep enqueue --help tells what it is")
        self.refused(skep("up", "--store"), "--store wants a value")
        self.refused(skep("token", "create", "--role", "boss"), "--role: 'boss' is none of viewer, client")
        self.refused(skep("run", "--jobs", "-1", "--", "true"), "--jobs")
        self.refused(skep("explain", "task"), "wants an ID")

    def test_files_to_enqueue(self):
        self.refused(skep("enqueue", os.path.join(self.folder, "none")), "can not be read")
        self.refused(skep("enqueue", self.folder), "is a directory")
        self.refused(skep("enqueue", self.file("x" * (1 << 20) + "x")), "is too large")
        self.refused(skep("enqueue", "-", stdin="x" * (1 << 20) + "x"), "is too large")


class Help(unittest.TestCase):
    def test_every_command_has_an_example_of_its_own(self):
        for command in commands():
            with self.subTest(command=command):
                result = skep(command, "--help")
                self.assertEqual(result.returncode, 0)
                self.assertRegex(result.stdout, rf"Example: skep {command}\b")

    def test_the_exit_codes_are_told(self):
        self.assertRegex(skep("--help").stdout, r"Exit codes:  0 done, 1 .* 2 wrong usage")

    def test_the_version(self):
        text = skep("version").stdout.strip()
        self.assertEqual("skep " + json.loads(skep("version", "--json").stdout)["version"], text)
        self.assertEqual(skep("--version").stdout.strip(), text)


if __name__ == "__main__":
    unittest.main()
