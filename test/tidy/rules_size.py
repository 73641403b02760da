# SPDX-License-Identifier: Apache-2.0
"""rules_size.py - files up to 600 lines, functions up to 60; what is larger stands in sizes.txt and may only shrink.

Functions are found by layout: clang-format puts the brace that ends a function under the column in which it began.
"""

import ast
import re

from tree import Finding, Tree, rule

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 60
SIZES = "test/tidy/sizes.txt"

_NOT_A_FUNCTION = re.compile(r"^\s*(?:typedef\s+|template\s*<.*>\s*)?(?:class|struct|union|enum|namespace|extern)\b")
_SCOPE = re.compile(r"^\s*(?:template\s*<.*>\s*)?(?:class|struct|union|namespace)\b")


def functions_of_cpp(lines: list[str]) -> list[tuple[str, int, int]]:
    """(name, first line, number of lines) of each function; a lambda or local class belongs to its function."""
    found: list[tuple[str, int, int]] = []
    _scan(lines, 0, len(lines), 0, found)
    return found


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _scan(lines, begin, end, column, found):
    at = begin
    header = None  # where the declaration at hand began
    while at < end:
        line = lines[at]
        if not line.strip() or line.lstrip().startswith(("//", "#")) or _indent(line) < column:
            header = None
        elif _indent(line) == column and not line.lstrip().startswith((":", ")", "}")):
            header = at
        opens = line.rstrip().endswith("{")
        if not opens or header is None:
            if line.rstrip().endswith((";", "}")) and _indent(line) == column:
                header = None
            at += 1
            continue
        close = _close(lines, at + 1, end, column)
        text = " ".join(lines[header:at + 1])
        if _SCOPE.match(text) and not re.search(r"\)\s*(?:const\s*|noexcept\s*|override\s*)*\{$", text):
            inner = 0 if re.match(r"^\s*(?:inline\s+)?namespace\b", text) else column + 2
            if inner > column:
                _scan(lines, at + 1, close, inner, found)
                at = close + 1
            else:
                at += 1  # a namespace does not indent: go on in it
            header = None
            continue
        if "(" in text and not _NOT_A_FUNCTION.match(text) and not re.search(r"=\s*\{+$", text):
            found.append((_name(text), header + 1, close - header + 1))
        at = close + 1
        header = None


def _close(lines, at, end, column):
    while at < end and not (lines[at].startswith(" " * column + "}")):
        at += 1
    return min(at, len(lines) - 1)


def _name(text: str) -> str:
    test = re.match(r"\s*(?:TYPED_)?(TEST\w*|RC_GTEST_\w+)\(\s*([\w ,]*)", text)
    if test:
        return ".".join(part.strip() for part in test.group(2).split(",")[:2])
    while (plain := re.sub(r"<[^<>]*>", "", text)) != text:
        text = plain
    match = re.search(r"([\w:~]+|operator\S+)\s*\(", text)
    return match.group(1) if match else text.strip()[:40]


def functions_of_python(text: str) -> list[tuple[str, int, int]]:
    return [(node.name, node.lineno, node.end_lineno - node.lineno + 1) for node in ast.walk(ast.parse(text))
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def measured(tree: Tree):
    """(path, function or '', line, size, limit) of all that has a limit."""
    for path in tree.matching("src/*.h", "src/*.cc", "src/*.proto", "test/*.h", "test/*.cc", "*.py", "dev", "*.cmake",
                              "*.ts", "*.tsx", "*.mjs", "*.css"):
        yield path, "", 1, len(tree.lines(path)), FILE_LINES_MAX
        functions = []
        if path.endswith(".py"):
            functions = functions_of_python(tree.text(path))
        elif path.endswith((".h", ".cc")):
            functions = functions_of_cpp(tree.code(path))
        for name, line, size in functions:
            yield path, name, line, size, FUNCTION_LINES_MAX


def listed_sizes(tree: Tree):
    """{(path, function or ''): (line of the list, size)}, and findings for lines that can not be read."""
    table, wrong = {}, []
    for number, line in enumerate(tree.lines(SIZES), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r"(\d+) ([\w./-]+)(?: ([\w:~.]+))? - (\S.{9,})", line)
        if not match:
            wrong.append(Finding(SIZES, number, "a line is: LINES PATH [FUNCTION] - REASON"))
        else:
            table[match.group(2), match.group(3) or ""] = (number, int(match.group(1)))
    return table, wrong


@rule
def sizes_only_shrink(tree: Tree):
    table, wrong = listed_sizes(tree)
    yield from wrong
    seen = set()
    for path, name, line, size, limit in measured(tree):
        what = f"function {name}" if name else "the file"
        if (path, name) not in table:
            if size > limit:
                yield Finding(path, line, f"{what} has {size} lines, the limit is {limit}: take it apart")
            continue
        number, allowed = table[path, name]
        seen.add((path, name))
        if size <= limit:
            yield Finding(SIZES, number, f"{path} {name} is down to {size} lines: take this line off")
        elif size < allowed:
            yield Finding(SIZES, number, f"{path} {name} shrank: write {size} for {allowed} here")
        elif size > allowed:
            yield Finding(path, line, f"{what} has {size} lines and may only shrink from {allowed}: take it apart")
    for key, (number, _) in table.items():
        if key not in seen:
            yield Finding(SIZES, number, f"there is no {' '.join(key).strip()} any more: take this line off")
