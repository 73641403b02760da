# SPDX-License-Identifier: Apache-2.0
"""tree.py - the files that the rules look at, and how a rule says what it found.

A rule is a function from a Tree to findings, registered by @rule. It reads nothing but its Tree, so that
tidy_test.py can show it a small bad one.
"""

import fnmatch
import os
import re
import subprocess
from typing import Callable, Iterable, NamedTuple

SKIPPED_DIRS = {".git", "__pycache__"}


class Finding(NamedTuple):
    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


RULES: dict[str, Callable[["Tree"], Iterable[Finding]]] = {}


def rule(function):
    RULES[function.__name__] = function
    return function


class Tree:
    """Every file of a project by its path from the root, as text."""

    def __init__(self, files: dict[str, str]):
        self.files = files

    @staticmethod
    def of(root: str) -> "Tree":
        files = {}
        for path in _paths(root):
            try:
                with open(os.path.join(root, path), encoding="utf-8") as file:
                    files[path] = file.read()
            except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
                continue  # a binary, or one that git lists and the working tree has not
        return Tree(files)

    def matching(self, *patterns: str) -> list[str]:
        return sorted(p for p in self.files if any(fnmatch.fnmatchcase(p, pattern) for pattern in patterns))

    def text(self, path: str) -> str:
        return self.files.get(path, "")

    def lines(self, path: str) -> list[str]:
        return self.text(path).splitlines()

    def code(self, path: str) -> list[str]:
        """The lines of a C++ file with comments and the inside of literals blanked, so that prose fires nothing."""
        return blank_prose(self.text(path)).splitlines()

    def cpp(self) -> list[str]:
        return self.matching("src/*.h", "src/*.inc", "src/*.cc", "test/*.h", "test/*.cc")


def _paths(root: str) -> list[str]:
    if os.path.exists(os.path.join(root, ".git")):
        listed = subprocess.run(["git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard"],
                                capture_output=True, text=True, check=False)
        if listed.returncode == 0:
            return listed.stdout.splitlines()
    found = []
    for folder, dirs, names in os.walk(root):
        dirs[:] = [d for d in dirs if d not in SKIPPED_DIRS and d != "build" and not d.startswith("build-")]
        found += [os.path.relpath(os.path.join(folder, name), root) for name in names]
    return found


def is_test(path: str) -> bool:
    return path.startswith("test/") or path.endswith("_test.cc") or "/testing/" in path


_TOKEN = re.compile(r'''//[^\n]*|/\*.*?\*/|R"(?P<d>[^(\s]*)\(.*?\)(?P=d)"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+\'''',
                    re.DOTALL)


def blank_prose(text: str) -> str:
    def blank(match: re.Match) -> str:
        token = match.group(0)
        kept = "\n" * token.count("\n")
        line_start = text.rfind("\n", 0, match.start()) + 1
        if text[line_start:match.start()].lstrip().startswith("#include"):
            return token
        return '""' + kept if token[0] in "\"R'" else kept

    return _TOKEN.sub(blank, text)


def allowed_except(tree: Tree, name: str, allowed: dict[str, str], hits: dict[str, int], what: str):
    """Findings for hits outside of `allowed` (pattern -> reason), and for allowances that nothing needs any more."""
    for path, line in hits.items():
        if not any(fnmatch.fnmatchcase(path, pattern) for pattern in allowed):
            yield Finding(path, line, what)
    for pattern in allowed:
        if tree.matching(pattern) and not any(fnmatch.fnmatchcase(path, pattern) for path in hits):
            yield Finding(pattern, 1, f"needs its allowance in {name} no more: take it off")
