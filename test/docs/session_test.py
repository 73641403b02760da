#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: what a document tells to type from one block to the next works as it stands, from the first start of a manager on.

Method: a document whose blocks are marked is one session of bash in an empty directory, on a port of its own, with the
document's address and directories replaced by ones of the test. What it starts in the background is waited for, and ended.
Marks, each a line before its block:

    <!-- test: session -->          commands; of a transcript the lines that begin with '$ '
    <!-- test: background -->       the same, not waited for
    <!-- test: python -->           a program
    <!-- test: file NAME -->        what a file has
    <!-- test: up ARGUMENT... -->   no block: a manager that the reader has started before

A block that is marked <!-- test --> is examples_test.py's.
"""
import os
import re
import shlex
import socket
import subprocess
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "test", "process"))

from harness import BIN, Lab, free_port, wait_until  # noqa: E402  (after its path)

PATIENCE_S = 60
MARK = re.compile(r"^<!-- test: (\w+)(?: ([^\n]*?))? -->\n(?:```(\w*)\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
READY = """
ready() {
  for _ in $(seq 600); do
    if (exec 3<>/dev/tcp/127.0.0.1/PORT) 2>/dev/null; then return 0; fi
    read -rt 0.05 <> <(:) || :
  done
  echo "nothing listens" >&2
  return 1
}
newest_task() {
  curl -sf http://127.0.0.1:PORT/v1/tasks | grep -o '"id":"[^"]*' | cut -d'"' -f4 | sort | tail -n 1
}
"""
DOCUMENTS_ID = "00000000008000000002"


def documents():
    docs = os.path.join(ROOT, "docs")
    return ["README.md"] + [f"docs/{name}" for name in sorted(os.listdir(docs)) if name.endswith(".md")]


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def typed(block):
    """The commands of a block: all of it, or what follows '$ ' in a transcript, with the lines that continue them."""
    if not re.search(r"^\$ ", block, re.MULTILINE):
        return block
    lines, goes_on = [], False
    for line in block.splitlines():
        if goes_on or line.startswith("$ "):
            lines.append(line if goes_on else line[2:])
            goes_on = line.endswith("\\")
    return "\n".join(lines) + "\n"


def awaited(commands):
    """With a wait after each command that starts something, or kills it."""
    lines = []
    for line in commands.splitlines():
        lines.append(line)
        if line.rstrip().endswith("&"):
            lines.append("ready")
        elif line.startswith("kill "):
            lines.append("wait %1 || :")
    return "\n".join(lines) + "\n"


def script_of(text):
    """The session of a document as one script; None if it has none."""
    parts = []
    for kind, argument, _, block in MARK.findall(text):
        if kind == "up":
            parts.append(f"skep up {argument} &\nready\n")
        elif kind == "session":
            parts.append(awaited(typed(block)))
        elif kind == "background":
            parts.append(f"{block.rstrip()} &\n")
        elif kind == "python":
            parts.append(f"python3 -B - <<'END_OF_PROGRAM'\n{block}END_OF_PROGRAM\n")
        elif kind == "file":
            parts.append(f"cat > {shlex.quote(argument)} <<'END_OF_FILE'\n{block}END_OF_FILE\n")
        else:
            raise AssertionError(f"there is no mark 'test: {kind}'")
    return "".join(parts) or None


def with_own_ids(line):
    """Ids are others in each store: a document's stands for the newest task's."""
    before, found, after = line.partition(DOCUMENTS_ID)
    if not found:
        return line
    quote = "'" if before.count("'") % 2 else ""
    return f'{before}{quote}"$(newest_task)"{quote}{after}'


def placed(script, port, directory):
    """With this test's places for those of the document."""
    for there in ("/tmp/tour", "/var/lib/skep"):
        script = script.replace(there, f"{directory}/store")
    script = "\n".join(with_own_ids(line) for line in script.split("\n"))
    script = re.sub(r"\b10\.0\.0\.1:8080\b|\b127\.0\.0\.1:8080\b", f"127.0.0.1:{port}", script)
    return script.replace("0.0.0.0:8080", f"0.0.0.0:{port}")


class Sessions(unittest.TestCase):
    def run_session(self, script):
        with Lab() as lab:
            port = free_port()
            os.makedirs(lab.path("build"))
            for place in ("skep", os.path.join("build", "skep")):
                os.symlink(os.path.abspath(BIN), lab.path(place))
            os.symlink("/usr/bin/python3", lab.path("python3"))
            environment = {**lab.environment(), "SKEP_LISTEN": f"127.0.0.1:{port}", "HOME": lab.directory,
                           "SKEP_MANAGER": f"http://127.0.0.1:{port}", "PATH": f"{lab.directory}:{os.environ['PATH']}",
                           "SKEP_STORE": f"rocksdb:{lab.directory}/store",
                           "PYTHONPATH": os.pathsep.join([os.path.join(ROOT, "clients", "python", "src"), lab.directory])}
            whole = ("set -eum\n" + READY.replace("PORT", str(port)) + placed(script, port, lab.directory) +
                     "trap - EXIT\nkill $(jobs -p) || :\nwait || :\n")
            with open(lab.path("output"), "w+", encoding="utf-8") as output:
                bash = subprocess.Popen(["bash", "-vc", whole], cwd=lab.directory, env=environment, stdout=output,
                                        stderr=output, stdin=subprocess.DEVNULL)
                try:
                    code = bash.wait(PATIENCE_S)
                except subprocess.TimeoutExpired:
                    code = None
                finally:
                    bash.kill()
                    bash.wait()
                output.seek(0)
                said = output.read()
            self.assertEqual(code, 0, f"the session ends with {code}; its last words:\n{said[-3000:]}")
            wait_until(lambda: not lab.survivors(), "all that it started ends on SIGTERM")
            with socket.socket() as probe:
                self.assertNotEqual(probe.connect_ex(("127.0.0.1", port)), 0)

    def test_each_documents_session_works(self):
        count = 0
        for path in documents():
            script = script_of(read(path))
            if script is None:
                continue
            count += 1
            with self.subTest(document=path):
                self.run_session(script)
        self.assertGreaterEqual(count, 3)

    def test_a_session_fails_with_its_first_command_that_fails(self):
        with self.assertRaises(AssertionError):
            self.run_session("skep status --manager http://127.0.0.1:1\ntrue\n")

    def test_every_block_of_commands_is_marked_or_says_why_not(self):
        fence = re.compile(r"^([^\n]*)\n```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
        for path in documents():
            for before, language, block in fence.findall(read(path)):
                if language in ("sh", "python", "console") or re.search(r"^\$ ", block, re.MULTILINE):
                    with self.subTest(document=path, block=block[:60]):
                        self.assertRegex(before, r"^<!-- (test\b.*|not tested: .{9,}) -->$")


class Reading(unittest.TestCase):
    def test_marks_become_one_script(self):
        text = ("<!-- test: up --slots 2 -->\n\n<!-- test: file a.py -->\n```python\nx = 1\n```\n"
                "<!-- test: session -->\n```\n$ skep up &\nlistening\n$ echo a \\\n  b\na b\n$ kill -9 %1\n```\n"
                "<!-- test: python -->\n```python\nimport a\n```\n<!-- test: background -->\n```sh\nskep worker\n```\n")
        self.assertEqual(script_of(text),
                         "skep up --slots 2 &\nready\ncat > a.py <<'END_OF_FILE'\nx = 1\nEND_OF_FILE\n"
                         "skep up &\nready\necho a \\\n  b\nkill -9 %1\nwait %1 || :\n"
                         "python3 -B - <<'END_OF_PROGRAM'\nimport a\nEND_OF_PROGRAM\nskep worker &\n")
        self.assertIsNone(script_of("<!-- test -->\n```sh\ntrue\n```\n"))

    def test_places_are_the_tests_own(self):
        self.assertEqual(placed("up 0.0.0.0:8080 rocksdb:/tmp/tour; curl 127.0.0.1:8080 10.0.0.1:8080", 5, "/d"),
                         "up 0.0.0.0:5 rocksdb:/d/store; curl 127.0.0.1:5 127.0.0.1:5")


if __name__ == "__main__":
    unittest.main()
