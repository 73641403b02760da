# SPDX-License-Identifier: Apache-2.0
"""rules_docs.py - documents mention only what is there."""

import os
import re

from tree import Finding, Tree, is_test, rule

SPOKEN = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/*.md"]
METHOD_PATH = r"(GET|PUT|POST|PATCH|DELETE) (/[^\s?*`\"',;:)]*(?::[a-z]+)?)"


def _slug(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


@rule
def links_lead_somewhere(tree: Tree):
    for path in tree.matching("*.md"):
        for number, line in enumerate(tree.lines(path), 1):
            for target in re.findall(r"\]\(([^)\s]+)\)", line):
                if re.match(r"[a-z]+:", target):
                    continue
                file, _, anchor = target.partition("#")
                there = os.path.normpath(os.path.join(os.path.dirname(path), file)) if file else path
                if there not in tree.files and not any(known.startswith(there + "/") for known in tree.files):
                    yield Finding(path, number, f"the link to '{target}' leads nowhere")
                elif anchor and anchor not in {_slug(re.sub(r"^#+ ", "", head)) for head in tree.lines(there)
                                               if head.startswith("#")}:
                    yield Finding(path, number, f"there is no heading '{anchor}' in {there}")


@rule
def named_files_exist(tree: Tree):
    named = re.compile(r"`((?:src|test|docs|cmake)/[\w./-]+\.(?:h|cc|py|md|txt|proto|cmake))`")
    for path in tree.matching(*SPOKEN):
        for number, line in enumerate(tree.lines(path), 1):
            for name in named.findall(line):
                if name not in tree.files:
                    yield Finding(path, number, f"there is no file {name}")


def flags_of_the_program(tree: Tree) -> set[str]:
    source = "".join(tree.text(path) for path in tree.matching("src/cli/*.cc", "src/cli/*.h"))
    return set(re.findall(r'"(?:-\w,)?(--[a-z][a-z-]*)', source)) | {"--help"}


@rule
def flags_in_documents_exist(tree: Tree):
    ours = flags_of_the_program(tree)
    script = tree.text("dev") + "".join(tree.text(path) for path in tree.matching("test/*.py", "test/*.cc", "src/sim/*"))
    for path in tree.matching(*SPOKEN):
        for number, line in enumerate(tree.lines(path), 1):
            if re.search(r"\b(?:curl|cmake|ctest|apt-get|git|npm|aws ssm|clang\S*) ", line):
                continue
            known = ours | set(re.findall(r"--[a-z][a-z-]*", script)) if re.search(r"\./dev |_test\b", line) else ours
            for flag in re.findall(r"(?<![\w|-])(--[a-z][a-z-]*)", "" if "-->" in line else line):
                if flag not in known:
                    yield Finding(path, number, f"there is no flag {flag} in src/cli")


@rule
def metrics_in_documents_exist(tree: Tree):
    source = "".join(tree.text(path) for path in tree.matching("src/*.cc", "src/*.h") if not is_test(path))
    metrics = set(re.findall(r'"(skep_\w+)"', source))
    layers = set(re.findall(r"SKEP_DEPS_(\w+)", tree.text("cmake/layers.cmake")))
    targets = {f"skep_{layer}{core}" for layer in layers for core in ("", "_core")} | {"skep_layer"}
    for path in tree.matching(*SPOKEN):
        for number, line in enumerate(tree.lines(path), 1):
            for name in re.findall(r"(?<![/\w.])(skep_\w+)\b(?!\.\w)", line):
                series = re.sub(r"_(?:bucket|sum|count)$", "", name)
                if name not in metrics | targets and series not in metrics:
                    yield Finding(path, number, f"there is no metric {name}")


def table_of_endpoints(tree: Tree) -> set[tuple[str, str]]:
    return set(re.findall(r'"(GET|PUT|POST|PATCH|DELETE)",\s*"(/[^"]*)"', tree.text("src/api/endpoints.cc")))


@rule
def endpoints_in_documents_are_the_table(tree: Tree):
    table = table_of_endpoints(tree)
    if not table:
        yield Finding("src/api/endpoints.cc", 1, "no row of the table of endpoints could be read")
        return
    described = set()
    for path in tree.matching(*SPOKEN):
        for number, line in enumerate(tree.lines(path), 1):
            bold = re.findall(rf"\*\*{METHOD_PATH}", line)
            if path == "docs/protocol.md":
                described.update(bold)
            for method, route in re.findall(METHOD_PATH, line):
                shown = re.sub(r"/v1/(tasks|workers|queues)/(?!\{)[^/:]+", r"/v1/\1/{}", route.rstrip("."))
                if (method, re.sub(r"\{\w*\}", "{}", shown) or "/") not in {(m, re.sub(r"\{\w*\}", "{}", r)) for m, r in table}:
                    yield Finding(path, number, f"there is no endpoint {method} {route}")
    if "docs/protocol.md" in tree.files:
        for method, route in sorted(table - described):
            yield Finding("docs/protocol.md", 1, f"does not describe **{method} {route}**")


@rule
def variables_in_documents_exist(tree: Tree):
    source = "".join(tree.text(path) for path in tree.matching("src/cli/*", "test/*", "dev", "CMakeLists.txt",
                                                               "cmake/*", "src/base/*.h"))
    known = set(re.findall(r"\bSKEP_[A-Z_]+", source))
    derived = {"SKEP_" + flag[2:].upper().replace("-", "_") for flag in flags_of_the_program(tree)}
    for path in tree.matching(*SPOKEN):
        for number, line in enumerate(tree.lines(path), 1):
            for name in re.findall(r"\bSKEP_[A-Z][A-Z_]*(?![A-Z_]*\*)", line):
                if name not in known | derived and not name.endswith("_"):
                    yield Finding(path, number, f"nothing reads {name}")
