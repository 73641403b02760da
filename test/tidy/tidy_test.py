#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: every rule of tidy.py can fail, and keeps quiet where nothing is wrong.

Method: a small good tree, on which all rules are silent; for each rule, changes to it that must make exactly this
rule speak, at the file that was changed.
"""

import os
import subprocess
import sys
import tempfile
import unittest

import rules_size
import tidy  # noqa: F401  (registers the rules)
from tree import RULES, Tree, blank_prose

SPDX = "SPDX-License-Identifier: Apache-2.0"

HEADER = f"""// {SPDX}
// shard.h - one shard of a queue.
//
// Threads:   one executor.
#pragma once

#include <string>

#include "base/time.h"

namespace skep::queue {{

enum class State {{
  kQueued,
  kLeased,
}};

inline constexpr int kShardsMax = 8;

class Shard {{
 public:
  int size() const {{
    return 0;  // system_clock::now() in prose is no finding, nor "std::mutex" in a text
  }}
}};

}}  // namespace skep::queue
"""

SOURCE = f"""// {SPDX}
#include "queue/shard.h"

namespace skep::queue {{

int Shard::size(int a,
                int b) const {{
  const auto add = [&](int c) {{
    return a + c;
  }};
  return add(b);
}}

}}  // namespace skep::queue
"""

GOOD = {
    "cmake/layers.cmake": f'# {SPDX}\nset(SKEP_DEPS_base "")\nset(SKEP_DEPS_queue base)\nset(SKEP_DEPS_api base)\n'
                          "set(SKEP_DEPS_cli queue base)\n",
    "ARCHITECTURE.md": "# Architecture\n\n## Layers\n\n| layer | may use | what |\n|---|---|---|\n| base | | seams |\n"
                       "| queue | base | the core |\n| api | base | the table |\n| cli | queue base | commands |\n\n"
                       "## Threads and locks\n\nOnly in `base/runner.cc`.\n\n## End\n\n"
                       "See [protocol](docs/protocol.md#tasks), `src/queue/shard.h`, `skep_queue`.\n",
    "docs/protocol.md": "# Protocol\n\n## Tasks\n\n**GET /v1/tasks/{id}?wait=** - a task; `--listen`, `skep_tasks_total`.\n"
                        "`SKEP_LISTEN` is `--listen`.\n",
    "src/api/endpoints.cc": f'// {SPDX}\n// The table of endpoints.\nEndpointInfo{{E::kGet, "GET", "/v1/tasks/{{id}}"}};\n'
                            'const char* const kName = "skep_tasks_total";\n',
    "src/base/runner.cc": f"// {SPDX}\n// One thread that runs what is posted.\n#include <thread>\n"
                          "void run() { std::thread([] {}).join(); }\n",
    "src/base/time.h": f"// {SPDX}\n// time.h - instants and durations.\n//\n// Threads:   value.\n#pragma once\n",
    "src/cli/main.cc": f'// {SPDX}\n// The one binary of it all.\nvoid f(App& app) {{ app.add_option("--listen"); }}\n',
    "src/queue/shard.h": HEADER,
    "src/queue/shard.cc": SOURCE,
    "src/queue/shard_test.cc": f"// {SPDX}\n// Goal: a shard counts what it holds.\nTEST(Shard, Counts) {{}}\n",
    "test/tidy/sizes.txt": "# LINES PATH [FUNCTION] - REASON\n",
}

LONG_BODY = "  ++n;\n" * 70


def changed(path: str, old: str, new: str) -> dict[str, str]:
    assert old in GOOD[path], (path, old)
    return {path: GOOD[path].replace(old, new, 1)}


def in_shard(line: str) -> dict[str, str]:
    """The good source with `line` inside of its function."""
    return changed("src/queue/shard.cc", "  return add(b);\n", f"  {line}\n  return add(b);\n")


def file_of(path: str, text: str) -> dict[str, str]:
    return {path: f"// {SPDX}\n// A file of the tree that is bad.\n{text}\n"}


LONG_FUNCTION = file_of("src/queue/long.cc", "void f(int n) {\n" + LONG_BODY + "}")
LONG_METHOD = file_of("src/queue/long.cc", "struct S {\n  void f(int n) {\n" + LONG_BODY + "  }\n};")
LONG_FILE = file_of("src/queue/long.cc", "int f();\n" * 650)


def sized(line: str, files: dict[str, str]) -> dict[str, str]:
    return {**files, "test/tidy/sizes.txt": line + "\n"}


# Rule -> changes of the good tree of which each must make it speak.
BAD: dict[str, list[dict[str, str]]] = {
    "includes_follow_the_layer_table": [
        changed("src/queue/shard.h", "base/time.h", "api/time.h"),
        changed("src/queue/shard.h", "base/time.h", "time.h"),
        changed("src/queue/shard.h", "base/time.h", "queue/other.cc"),
        file_of("src/extra/file.cc", ""),
        {"cmake/layers.cmake": f"# {SPDX}\n"},
    ],
    "architecture_shows_the_layer_table": [
        changed("ARCHITECTURE.md", "| queue | base |", "| queue | base api |"),
        changed("ARCHITECTURE.md", "| queue | base | the core |\n", ""),
        changed("ARCHITECTURE.md", "| base | | seams |\n", "| base | | seams |\n| more | base | none |\n"),
    ],
    "libraries_stay_where_they_belong": [
        in_shard("asio::post(f);"), in_shard("rocksdb::DB* db;"), in_shard("prometheus::Counter c;"),
        in_shard("spdlog::info(1);"), in_shard("EVP_sha512();"), in_shard("CLI::App app;"),
        changed("src/queue/shard.h", "#include <string>", "#include <boost/asio/post.hpp>"),
        {"src/http/server.h": f"// {SPDX}\n// server.h - a server of HTTP.\n// Threads: any.\n#pragma once\n"
                              "#include <boost/beast/http.hpp>\n"},
    ],
    "pure_parts_stay_pure": [
        changed("src/queue/shard.h", "base/time.h", "base/log.h"),
        changed("src/queue/shard.h", "#include <string>", "#include <fstream>"),
    ],
    "threads_only_where_architecture_lists_them": [
        in_shard("std::mutex m;"), in_shard("std::atomic<int> a;"), in_shard("const MutexLock lock(m);"),
        in_shard("thread_local int a;"),
        changed("ARCHITECTURE.md", "`base/runner.cc`", "`base/runner.cc` and `base/log.cc`"),
    ],
    "every_source_names_its_licence": [
        changed("src/queue/shard.cc", f"// {SPDX}\n", ""),
        changed("cmake/layers.cmake", f"# {SPDX}\n", ""),
        {"dev": "#!/usr/bin/env bash\n# does all there is to do\n"},
    ],
    "headers_begin_with_their_contract": [
        changed("src/queue/shard.h", "#pragma once\n", ""),
        changed("src/queue/shard.h", "// shard.h - one", "// One"),
        changed("src/queue/shard.h", "// Threads:   one executor.\n", ""),
    ],
    "sources_without_a_header_say_what_they_are": [
        changed("src/queue/shard_test.cc", "// Goal: a shard counts what it holds.\n", ""),
        changed("src/cli/main.cc", "// The one binary of it all.\n", ""),
        {"test/process/kill.py": f"#!/usr/bin/env python3\n# {SPDX}\nimport os\n"},
    ],
    "files_have_good_names": [
        file_of("src/queue/ShardIndex.cc", ""), file_of("src/queue/util.cc", ""), file_of("src/base/types_test.cc", ""),
        {"docs/Task-States.md": "# States\n"},
    ],
    "types_and_constants_have_their_form": [
        changed("src/queue/shard.h", "class Shard {", "class shard_of_queue {"),
        changed("src/queue/shard.h", "kShardsMax", "SHARDS_MAX"),
        changed("src/queue/shard.h", "kLeased", "LEASED"),
    ],
    "time_and_chance_come_in_as_arguments": [
        in_shard("auto t = std::chrono::system_clock::now();"), in_shard("std::random_device d;"),
        in_shard("const auto t = time(nullptr);"), in_shard("std::mt19937_64 r(1);"),
        file_of("src/base/clock.cc", ""),  # an allowance that is not needed
    ],
    "nothing_sleeps": [
        in_shard("std::this_thread::sleep_for(d);"), in_shard("usleep(5);"),
        {"test/process/kill.py": f'# {SPDX}\n"""Goal: kill and see it live on."""\n\n\ndef kill():\n    time.sleep(1)\n'},
    ],
    "there_are_no_globals": [
        changed("src/queue/shard.cc", "int Shard::size", "int g_count = 0;\nint Shard::size"),
        changed("src/queue/shard.cc", "int Shard::size", "std::map<int, int> table;\nint Shard::size"),
        in_shard("static int calls = 0;"),
        changed("src/queue/shard.h", "  int size() const {", "  static Shard& instance() {"),
    ],
    "open_ends_have_reasons": [
        in_shard("// TODO: faster"), in_shard("// FIXME later"),
    ],
    "coroutines_avoid_the_traps_of_gcc_12": [
        in_shard("co_await spawn([&]() { return b; });"), in_shard("const int c = a ? co_await f() : 1;"),
    ],
    "lines_are_short": [
        in_shard("// " + "x" * 110), in_shard("int c;  "), in_shard("\tint c;"),
        changed("docs/protocol.md", "# Protocol", "# Protocol\n\n" + "word " * 40),
    ],
    "nothing_names_a_machine_or_a_registry": [
        in_shard('open("/home/me/file");'), {"dev": f"#!/bin/bash\n# {SPDX}\n# fetch what is needed\ncurl https://pypi.org/x\n"},
    ],
    "links_lead_somewhere": [
        changed("ARCHITECTURE.md", "docs/protocol.md#tasks", "docs/none.md"),
        changed("ARCHITECTURE.md", "docs/protocol.md#tasks", "docs/protocol.md#none"),
    ],
    "named_files_exist": [changed("ARCHITECTURE.md", "`src/queue/shard.h`", "`src/queue/none.h`")],
    "flags_in_documents_exist": [changed("docs/protocol.md", "`--listen`,", "`--listens`,")],
    "metrics_in_documents_exist": [changed("docs/protocol.md", "skep_tasks_total", "skep_tasks_sum_total")],
    "endpoints_in_documents_are_the_table": [
        changed("docs/protocol.md", "**GET /v1/tasks/{id}", "**POST /v1/tasks/{id}"),
        changed("docs/protocol.md", "# Protocol", "# Protocol\n\nTry GET /v1/nothing."),
        changed("src/api/endpoints.cc", '"/v1/tasks/{id}"', '"/v1/tasks/{id}"}, {"PUT", "/enqueue"'),
        changed("src/api/endpoints.cc", '"GET"', "kGet"),
    ],
    "variables_in_documents_exist": [changed("docs/protocol.md", "SKEP_LISTEN", "SKEP_LISTENS")],
    "sizes_only_shrink": [
        LONG_FUNCTION, LONG_METHOD, LONG_FILE,
        {"test/process/kill.py": f'# {SPDX}\n"""Goal: kill and see it live on."""\n\n\ndef kill():\n' + "    kill()\n" * 70},
        sized("71 src/queue/long.cc f - it grew by one line", LONG_FUNCTION),
        sized("73 src/queue/long.cc f - it shrank by one line", LONG_FUNCTION),
        sized("72 src/queue/shard.cc f - there is no such function", {}),
        sized("61 src/queue/shard.cc Shard::size - it is short now", {}),
        sized("72 src/queue/shard.cc", {}),
    ],
}


def findings(tree: Tree) -> dict[str, list]:
    return {name: found for name, check in RULES.items() if (found := list(check(tree)))}


class Rules(unittest.TestCase):
    def test_a_good_tree_is_good(self):
        self.assertEqual(findings(Tree(GOOD)), {})

    def test_every_rule_has_a_bad_tree(self):
        self.assertEqual(set(BAD), set(RULES))

    def test_each_bad_tree_is_found_by_its_rule(self):
        for name, changes in BAD.items():
            for number, change in enumerate(changes):
                with self.subTest(rule=name, change=number):
                    found = findings(Tree({**GOOD, **change}))
                    self.assertIn(name, found)

    def test_a_listed_size_is_quiet(self):
        tree = Tree({**GOOD, **sized("72 src/queue/long.cc f - a table that is one thought", LONG_FUNCTION)})
        self.assertEqual(findings(tree), {})

    def test_a_poll_may_pause(self):
        kill = f'# {SPDX}\n"""Goal: kill and see it live on."""\n\n\ndef wait_until(f):\n    time.sleep(1)\n'
        self.assertEqual(findings(Tree({**GOOD, "test/process/kill.py": kill})), {})


class Reading(unittest.TestCase):
    def test_functions_are_measured_from_signature_to_brace(self):
        sizes = {name: (line, size) for name, line, size in rules_size.functions_of_cpp(SOURCE.splitlines())}
        self.assertEqual(sizes, {"Shard::size": (6, 7)})
        sizes = {name: (line, size) for name, line, size in rules_size.functions_of_cpp(HEADER.splitlines())}
        self.assertEqual(sizes, {"size": (22, 3)})

    def test_tests_and_templates_have_names(self):
        lines = ["TEST(Shard, Counts) {", "  f();", "}", "template <class T>", "Result<void()> g(T t) {", "  f();", "}"]
        self.assertEqual(rules_size.functions_of_cpp(lines), [("Shard.Counts", 1, 3), ("g", 5, 3)])

    def test_prose_is_blanked_and_lines_stay(self):
        text = 'a("std::mutex");  // std::mutex\n/* std::\nmutex */ b(R"x(\nstd::mutex)x");\n#include "base/mutex.h"\n'
        blanked = blank_prose(text)
        self.assertNotIn("std::mutex", blanked)
        self.assertEqual(blanked.count("\n"), text.count("\n"))
        self.assertIn('"base/mutex.h"', blanked)


class Program(unittest.TestCase):
    def run_on(self, files: dict[str, str]) -> subprocess.CompletedProcess:
        with tempfile.TemporaryDirectory() as root:
            for path, text in files.items():
                os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                    file.write(text)
            program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tidy.py")
            return subprocess.run([sys.executable, program, root], capture_output=True, text=True, check=False)

    def test_a_good_tree_is_exit_0_and_a_bad_one_exit_1_with_its_place(self):
        self.assertEqual(self.run_on(GOOD).returncode, 0)
        bad = self.run_on({**GOOD, **in_shard("std::mutex m;")})
        self.assertEqual(bad.returncode, 1)
        self.assertIn("src/queue/shard.cc:11: names a lock", bad.stdout)


if __name__ == "__main__":
    unittest.main()
