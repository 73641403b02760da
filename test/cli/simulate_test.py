#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: skep simulate does what docs/scaling.md says: its lines, its picture, its search, its refusals.

Method: the real binary on made-up loads and on small files; nothing here needs a manager.
"""

import json
import os
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree

SKEP = os.environ["SKEP_BIN"]
TRACES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "traces")
USAGE = 2
HOUR = "constant:hours=1:load=3"


def skep(*arguments: str) -> subprocess.CompletedProcess:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SKEP_")}
    return subprocess.run([SKEP, *arguments], env=clean, capture_output=True, text=True, timeout=60, check=False)


def lines(*arguments: str) -> list[dict]:
    done = skep("simulate", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


class Simulate(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def file(self, name: str, text: str) -> str:
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def refused(self, *arguments: str) -> str:
        done = skep("simulate", *arguments)
        self.assertEqual(done.returncode, USAGE, done.stdout)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        return done.stderr

    def test_a_line_for_each_trace_policy_and_seed(self):
        rows = lines("--trace", HOUR, "--policy", "skep,keda:queue_length=3,clairvoyant", "--seed", "4", "--repeats", "2")
        self.assertEqual(sorted((row["policy"], row["seed"]) for row in rows),
                         [(policy, seed) for policy in ("clairvoyant", "keda:queue_length=3", "skep") for seed in (4, 5)])
        for row in rows:
            self.assertEqual(row["trace"], HOUR)
            for name in ("wait_p50_s", "wait_p95_s", "wait_p99_s", "late_share", "worker_seconds", "cost_ratio", "scale_events"):
                self.assertGreaterEqual(row[name], 0, name)

    def test_every_policy_runs_on_a_real_trace(self):
        policies = "skep,seed,keda,asg,hyperqueue,dask,autoscale,fixed"
        rows = lines("--trace", os.path.join(TRACES, "azure_llm_code.csv"), "--policy", policies)
        self.assertEqual([row["policy"] for row in rows], policies.split(","))
        self.assertEqual({row["tasks"] for row in rows}, {8819})

    def test_a_directory_is_all_its_traces(self):
        self.file("b.csv", "t_seconds,arrivals\n0,100\n60,100\n")
        self.file("a.csv", "t_seconds,service_seconds\n0,1\n5,1\n")
        self.file("notes.txt", "not a trace")
        self.assertEqual([row["trace"] for row in lines("--trace", self.folder)], ["a", "b"])

    def test_the_table_names_what_was_simulated(self):
        text = skep("simulate", "--trace", HOUR, "--max", "4", "--boot", "20s").stdout
        self.assertIn("2-4 workers with 1 slot, boot 20s, late is a wait over 30s", text)
        self.assertIn("WAIT P50", text)

    def test_the_picture_is_svg(self):
        path = os.path.join(self.folder, "picture.svg")
        self.assertEqual(skep("simulate", "--trace", HOUR, "--policy", "skep,keda", "--svg", path).returncode, 0)
        self.assertTrue(xml.etree.ElementTree.parse(path).getroot().tag.endswith("svg"))

    def test_what_happened_over_time_comes_with_series(self):
        row, = lines("--trace", HOUR, "--policy", "skep", "--series")
        self.assertGreater(len(row["series"]), 100)
        self.assertEqual(set(row["series"][0]), {"at_s", "load", "running", "booting", "backlog_s", "wait_p95_s"})
        self.assertEqual([each["at_s"] for each in row["series"]], sorted(each["at_s"] for each in row["series"]))
        self.assertGreater(max(each["running"] for each in row["series"]), 0)
        self.assertNotIn("series", lines("--trace", HOUR, "--policy", "skep")[0])

    def test_who_decides_more_often_starts_a_first_task_sooner(self):
        at = ("--trace", self.file("one.csv", "t_seconds,service_seconds\n0,1\n32,1\n63,1\n"), "--load", "recorded", "--min", "0",
              "--boot", "100ms", "--policy", "skep,fixed:factor=1")
        slow, fixed = lines(*at)
        quick, same = lines(*at, "--tick", "500ms")
        self.assertGreater(slow["wait_p99_s"], 2)
        self.assertLess(quick["wait_p99_s"], 1)
        self.assertEqual(fixed, same)

    def test_what_the_search_prints_is_a_configuration(self):
        found = skep("simulate", "--trace", HOUR, "--tune", "--trials", "6")
        self.assertEqual(found.returncode, 0, found.stderr)
        config = self.file("tuned.toml", found.stdout)
        shown = skep("manager", "--config", config, "--check-config")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn('policy = "skep', shown.stdout)
        tuned = lines("--trace", HOUR, "--tune", "--trials", "6")[0]
        self.assertEqual((tuned["held"], tuned["cases"]), (1, 1))
        self.assertIn(tuned["policy"], found.stdout)

    def test_a_budget_turns_the_search_around(self):
        rows = [lines("--trace", "burst:hours=3:load=8", "--policy", "autoscale", "--tune", "--trials", "8", *more)[0]
                for more in ((), ("--budget", "9"))]
        self.assertGreater(rows[1]["cost_ratio"], rows[0]["cost_ratio"])
        self.assertLessEqual(rows[1]["late_share"], rows[0]["late_share"])

    def test_wrong_use_is_one_sentence(self):
        self.assertIn("wants --trace", self.refused())
        self.assertIn("trace nowhere is no file", self.refused("--trace", "nowhere"))
        self.assertIn("there is no policy 'kedo'", self.refused("--trace", HOUR, "--policy", "kedo"))
        self.assertIn("min (5) is more than --max (3)", self.refused("--trace", HOUR, "--min", "5", "--max", "3"))
        self.assertIn("--load much", self.refused("--trace", HOUR, "--load", "much"))
        self.assertIn("can not be written", self.refused("--trace", HOUR, "--svg", os.path.join(self.folder, "no", "x.svg")))
        wrong = self.file("wrong.csv", "t_seconds,arrivals\n0,1\n1\n")
        self.assertIn("wrong: line 3 is not two numbers", self.refused("--trace", wrong))
        since_1970 = self.file("unix.csv", "t_seconds,service_seconds\n1795910400,1\n")
        self.assertIn("are to count from the begin of the trace", self.refused("--trace", since_1970))

    def test_what_would_have_no_effect_is_refused(self):
        for wrong in (("--trials", "5"), ("--late", "0.1"), ("--budget", "2"), ("--series",), ("--output", "x.csv"),
                      ("--tune", "--svg", "x.svg"), ("--record", "http://127.0.0.1:1")):
            with self.subTest(wrong=wrong):
                self.assertIn(wrong[0], self.refused("--trace", HOUR, *wrong))

    def test_a_manager_refuses_the_policies_of_others(self):
        done = skep("manager", "--policy", "keda", "--check-config")
        self.assertEqual(done.returncode, USAGE)
        self.assertIn("can only be simulated", done.stderr)


if __name__ == "__main__":
    unittest.main()
