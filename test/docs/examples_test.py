#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: what the documents tell to type works, and the commands that they name exist.

Method: a `skep up` on a free port. A block ```sh after a line `<!-- test -->` is run by bash in an empty directory, with
the manager's address for the default one, and must succeed; the blocks of a document run in their order, in one directory.
"""

import os
import re
import signal
import subprocess
import tempfile
import unittest

SKEP = os.path.abspath(os.environ["SKEP_BIN"])
ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
MARK = "<!-- test -->"
DEFAULT_ADDRESS = "127.0.0.1:8080"
PATIENCE_S = 100


def documents() -> list[str]:
    docs = os.path.join(ROOT, "docs")
    found = [os.path.join(docs, name) for name in sorted(os.listdir(docs)) if name.endswith(".md")]
    readme = os.path.join(ROOT, "README.md")
    return ([readme] if os.path.exists(readme) else []) + found


def read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def marked_blocks(text: str) -> list[str]:
    return re.findall(rf"^{re.escape(MARK)}\n```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def named_commands(text: str) -> set[str]:
    """The words after `skep` in inline code and in code blocks, but for those that say ```text."""
    blocks = re.findall(r"^```(?:sh)?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = [line for line in text.splitlines() if line.startswith("    ")] + "\n".join(blocks).splitlines()
    typed = [name for line in lines for name in re.findall(r"(?:^|[|;&] *|\$ )\s*(?:build/)?skep ([a-z]+)\b", line)]
    return set(typed) | set(re.findall(r"`skep ([a-z]+)\b", text))


def commands() -> set[str]:
    text = subprocess.run([SKEP, "--help"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^  (\w+)", text.split("Subcommands:")[1].split("\n\n")[0], re.MULTILINE))


class Documents(unittest.TestCase):
    def start_manager(self) -> str:
        manager = subprocess.Popen([SKEP, "up", "--listen", "127.0.0.1:0", "--store", "memory:", "--max-workers", "2"],
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

        def end():
            manager.send_signal(signal.SIGTERM)
            try:
                self.assertEqual(manager.wait(timeout=30), 0)
            finally:
                manager.kill()
                manager.stdout.close()

        self.addCleanup(end)
        first = manager.stdout.readline()
        self.assertTrue(first.startswith("listening on "), first)
        return first.split()[-1]

    def test_marked_blocks_succeed(self):
        address = self.start_manager()
        count = 0
        for path in documents():
            blocks = marked_blocks(read(path))
            self.assertEqual(len(blocks), read(path).count("\n" + MARK), f"{path}: a mark without its ```sh block")
            with tempfile.TemporaryDirectory() as folder:
                os.symlink(SKEP, os.path.join(folder, "skep"))
                env = {**os.environ, "SKEP_MANAGER": f"http://{address}", "PATH": folder + ":" + os.environ["PATH"]}
                for block in blocks:
                    with self.subTest(document=os.path.basename(path), block=block):
                        run = subprocess.run(["bash", "-euo", "pipefail", "-c", block.replace(DEFAULT_ADDRESS, address)],
                                             cwd=folder, env=env, capture_output=True, text=True, timeout=PATIENCE_S,
                                             check=False)
                        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
                    count += 1
        self.assertGreater(count, 0, "no document has a block that is marked for this test")

    def test_named_commands_exist(self):
        for path in documents():
            with self.subTest(document=os.path.basename(path)):
                self.assertEqual(named_commands(read(path)) - commands(), set())


class Reading(unittest.TestCase):
    TEXT = ("Say `skep nothing`.\n\n" + MARK + "\n```sh\nfalse | skep never\n```\n\n```sh\nskep twice\n```\n\n"
            "```text\nskep shown\n```\n\n    skep indented\n")

    def test_blocks_and_commands_are_found(self):
        self.assertEqual(marked_blocks(self.TEXT), ["false | skep never\n"])
        self.assertEqual(named_commands(self.TEXT), {"nothing", "never", "twice", "indented"})


if __name__ == "__main__":
    unittest.main()
