# SPDX-License-Identifier: Apache-2.0
"""rules_code.py - names, header comments, and what no file of the house does."""

import os
import re

from tree import Finding, Tree, allowed_except, is_test, rule

SPDX = "SPDX-License-Identifier: Apache-2.0"
COLUMNS_MAX = 110
PROSE_COLUMNS_MAX = 140

# Files that may read the machine's clocks or its randomness, and why.
CLOCKS = {
    "src/base/clock.cc": "it is skep's clock",
    "src/base/time_test.cc": "holds skep's clock against the machine's",
    "src/http/server_thread.cc": "the Date header is the machine's wall time",
    "src/http/internal_client.h": "Asio's steady_timer takes its own clock's instants",
    "src/http/internal_server.h": "Asio's steady_timer takes its own clock's instants",
}
CLOCK = re.compile(r"\b(?:system_clock|steady_clock|high_resolution_clock|clock_gettime|gettimeofday|random_device|"
                   r"mt19937\w*|default_random_engine|s?rand)\b(?!\.h)|\btime\((?:nullptr|NULL|0)\)|\bgetrandom\(|/dev/u?random")

# Product files that may pause, and why. Tests may not at all.
PAUSES = {"src/cli/command_status.cc": "--watch looks again each second"}
SLEEP = re.compile(r"\bsleep_(?:for|until)\b|\b(?:u|nano)?sleep\s*\(")

# The page's languages.
PAGE = ("*.ts", "*.tsx", "*.mjs", "*.css")

BANNED_NAMES = {"util", "utils", "common", "misc", "types", "helper", "helpers"}
REGISTRIES = re.compile(r"\b(?:pypi\.org|pythonhosted\.org|registry\.npmjs\.org|crates\.io|proxy\.golang\.org|docker\.io|"
                        r"ghcr\.io|quay\.io|conan\.io|vcpkg\.io|deb\.debian\.org|archive\.ubuntu\.com)\b")
MACHINE_PATH = re.compile(r"(?<![\w.~}$-])/(?:work|root|home|Users|mnt|scratch)/[\w.-]+")


def sources(tree: Tree) -> list[str]:
    return tree.matching("src/*.h", "src/*.inc", "src/*.cc", "src/*.proto", "test/*.h", "test/*.cc", "*.py", "*.cmake",
                         "CMakeLists.txt", "*/CMakeLists.txt", "dev", ".ci/run", *PAGE)


@rule
def every_source_names_its_licence(tree: Tree):
    for path in sources(tree):
        if not any(SPDX in line for line in tree.lines(path)[:3]):
            yield Finding(path, 1, f"one of the first lines is to be '{SPDX}'")


@rule
def headers_begin_with_their_contract(tree: Tree):
    for path in tree.matching("src/*.h", "test/*.h"):
        lines, name = tree.lines(path), os.path.basename(path)
        head = lines[:lines.index("#pragma once")] if "#pragma once" in lines else []
        if not head:
            yield Finding(path, 1, "#pragma once is missing, or nothing stands before it")
            continue
        if len(head) < 2 or head[0] != f"// {SPDX}":
            yield Finding(path, 1, f"line 1 is '// {SPDX}'")
        if not any(re.match(rf"// {re.escape(name)} - \S+ \S+", line) for line in head[1:2]):
            yield Finding(path, 2, f"line 2 is '// {name} - what it is for'")
        if not any(re.match(r"// Threads: +\S", line) for line in head):
            yield Finding(path, 3, "the comment lacks its 'Threads:' line")


@rule
def sources_without_a_header_say_what_they_are(tree: Tree):
    for path in tree.matching("src/*.cc", "test/*.cc", "*.py", *PAGE):
        if path.endswith(".cc") and path[:-3] + ".h" in tree.files:
            continue
        said = [line for line in tree.lines(path)[:3] if SPDX not in line and not line.startswith("// fuzz:")]
        words = re.findall(r"[\w'.-]+", said[0]) if said and said[0].startswith(("//", "/*", '"""', "#!", "# ")) else []
        if said and said[0].startswith("#!"):
            words = re.findall(r"\w+", " ".join(line for line in said[1:] if line.startswith(("#", '"""'))))
        what = "its goal" if is_test(path) else "what it is"
        if len(words) < 4:
            yield Finding(path, 2, f"after the licence line the file says {what} in a sentence")


@rule
def files_have_good_names(tree: Tree):
    free = re.compile(r"^(?:CMakeLists\.txt|package-lock\.json|[A-Z]+\.md|\..*)$")
    for path in tree.matching("src/*", "test/*", "docs/*", "cmake/*"):
        name = os.path.basename(path)
        stem = name.split(".")[0]
        if not free.match(name) and not re.fullmatch(r"[a-z0-9_]+(?:\.[a-z0-9]+)*", name):
            yield Finding(path, 1, "file names are snake_case")
        if stem.removesuffix("_test") in BANNED_NAMES:
            yield Finding(path, 1, f"'{stem}' says nothing: name the file after what is in it")


@rule
def types_and_constants_have_their_form(tree: Tree):
    type_name = re.compile(r"^\s*(?:template\s*<[^;]*>\s*)?(?:class|struct|enum class|enum|union)\s+"
                           r"(?:SKEP_\w+\([^)]*(?:\([^)]*\))?\)\s+)?(\w+)(?:\s+final)?(?:\s*:[^;=()]*)?\s*\{(?!\})")
    constant = re.compile(r"^(?:inline |static )*constexpr (?!auto \[)[\w:<>, *]+?[ *](\w+)(?:\[\w*\])*\s*(?:=|\{)")
    enumerator = re.compile(r"^\s*(\w+)(?:\s*=\s*[^,]+)?,?$")
    for path in tree.cpp():
        in_enum = False
        for number, line in enumerate(tree.code(path), 1):
            match = type_name.match(line)
            if match and not re.fullmatch(r"[A-Z][A-Za-z0-9]*", match.group(1)) and "::" not in line.split("{")[0]:
                yield Finding(path, number, f"type '{match.group(1)}' is to be PascalCase")
            match = constant.match(line)
            if match and not re.fullmatch(r"k[A-Z0-9]\w*|\w+_v", match.group(1)):
                yield Finding(path, number, f"constant '{match.group(1)}' is to be named kName")
            if in_enum and (match := enumerator.match(line)) and not re.fullmatch(r"k[A-Z0-9]\w*", match.group(1)):
                yield Finding(path, number, f"enum value '{match.group(1)}' is to be named kName")
            in_enum = (in_enum or bool(re.match(r"^\s*enum class .*\{$", line))) and "}" not in line


@rule
def time_and_chance_come_in_as_arguments(tree: Tree):
    hits = {}
    for path in tree.cpp():
        for number, line in enumerate(tree.code(path), 1):
            if CLOCK.search(line):
                hits.setdefault(path, number)
    yield from allowed_except(tree, "rules_code.CLOCKS", CLOCKS, hits,
                              "reads the machine's clock or randomness: take a Clock, an Instant or a Random instead")


@rule
def nothing_sleeps(tree: Tree):
    hits = {}
    for path in tree.cpp():
        for number, line in enumerate(tree.code(path), 1):
            if SLEEP.search(line):
                hits.setdefault(path, number)
    yield from allowed_except(tree, "rules_code.PAUSES", PAUSES, hits,
                              "no sleeps: wait for what is meant, with a deadline")
    for path in tree.matching("test/*.py"):
        if path.startswith("test/tidy/"):
            continue
        polled = False  # a poll with a deadline is the one place for a pause between two looks
        for number, line in enumerate(tree.lines(path), 1):
            if re.match(r"\s*def ", line):
                polled = bool(re.match(r"\s*def (?:wait_until|wait_for|eventually|poll)\w*\(", line))
            if re.search(r"\btime\.sleep\(", line) and not polled:
                yield Finding(path, number, "time.sleep only between two looks of a wait_until() with a deadline")


@rule
def there_are_no_globals(tree: Tree):
    variable = re.compile(r"^(?:static |inline |thread_local )*(?!using|typedef|namespace|return|class|struct|enum|union|"
                          r"friend|template|extern|public|private|goto|break|continue|case|default|const\b|constexpr|"
                          r"static const|inline const|static_assert|#)[\w:]+(?:<[^()=]*>)?[ *&]+(\w+)(?:\[\w*\])?"
                          r"(?: = .*|\{.*\})?;$")
    local_static = re.compile(r"^\s+static (?!const\b|constexpr|inline const|_)(?:thread_local )?[\w:]+(?:<.*>)?[ *&]+"
                              r"\w+(?:\[.*\])?\s*(?:=.*|\{.*|;)$")
    for path in tree.matching("src/*.h", "src/*.inc", "src/*.cc"):
        for number, line in enumerate(tree.code(path), 1):
            if variable.match(line) or local_static.match(line):
                yield Finding(path, number, "a global: hand the object down to those that need it")
            if re.search(r"\b(?:instance|singleton|get_instance)\(\)\s*\{", line) and "static" in line:
                yield Finding(path, number, "a singleton: hand the object down to those that need it")


@rule
def open_ends_have_reasons(tree: Tree):
    for path in sources(tree):
        if path.startswith("test/tidy/"):
            continue
        for number, line in enumerate(tree.lines(path), 1):
            if re.search(r"\b(?:FIXME|XXX|HACK)\b", line):
                yield Finding(path, number, "write 'TODO(what it waits for): what is to be done', or do it")
            elif re.search(r"\bTODO\b", line) and not re.search(r"\bTODO\([^)]{3,}\): \S+ \S+", line):
                yield Finding(path, number, "a TODO says what it waits for: 'TODO(reason): what is to be done'")


@rule
def coroutines_avoid_the_traps_of_gcc_12(tree: Tree):
    capture = re.compile(r"\[[^\[\]]*[&=\w][^\[\]]*\]\s*(?:\([^)]*\))?\s*(?:mutable\s*)?(?:noexcept\s*)?(?:->[^{]*)?\{")
    for path in tree.cpp():
        text = "\n".join(tree.code(path))
        for statement in re.finditer(r"[^;{}]*\bco_await\b[^;]*;", text):
            line = text.count("\n", 0, statement.start() + len(statement.group(0)) - len(statement.group(0).lstrip())) + 1
            awaited = statement.group(0)
            if capture.search(awaited):
                yield Finding(path, line, "a capturing lambda in an expression with co_await is freed twice by g++ 12: "
                                          "name a coroutine with parameters by value")
            if re.search(r"\?[^;]*\bco_await\b[^;]*:|\?[^;]*:[^;:]*\bco_await\b", awaited):
                yield Finding(path, line, "no co_await inside ?: (g++ 12): name the awaited result first")


@rule
def lines_are_short(tree: Tree):
    for path in tree.matching("src/*", "test/*", "*.py", "dev", ".ci/run", "*.cmake", "CMakeLists.txt", "*.md"):
        most = COLUMNS_MAX if path.endswith((".h", ".inc", ".cc", ".proto")) else PROSE_COLUMNS_MAX
        is_fenced = False
        for number, line in enumerate(tree.lines(path), 1):
            is_fenced ^= line.startswith("```")
            is_table = path.endswith(".md") and (line.startswith("|") or is_fenced)
            has_long_word = path.endswith(".md") and max(map(len, line.split()), default=0) > most - 20
            if len(line) > most and not is_table and not has_long_word:
                yield Finding(path, number, f"{len(line)} columns, the limit is {most}")
            if line != line.rstrip() or "\t" in line:
                yield Finding(path, number, "a tab, or blanks at the end")


@rule
def nothing_names_a_machine_or_a_registry(tree: Tree):
    for path in tree.files:
        if path.startswith("test/tidy/"):
            continue  # the rules name what they forbid
        for number, line in enumerate(tree.lines(path), 1):
            if match := MACHINE_PATH.search(line):
                yield Finding(path, number, f"a path of one machine: {match.group(0)}")
            if match := REGISTRIES.search(line):
                yield Finding(path, number, f"a registry's host: {match.group(0)}; the system's own settings name it")
