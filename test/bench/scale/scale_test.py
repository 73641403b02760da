#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: the arithmetic of `./dev bench memory`, `fleet`, `load`, `bloat` and `managers` is right: percentiles, messages, tables.

Method: made-up measurements; nothing is timed and nothing needs a build.
"""
import random
import unittest

import tool  # noqa: F401  (it knows where the others are)
import bloat
import fleet
import load
import managers
import memory
import report
import simulator
import wire
from percentiles import percentile, summary


class Percentiles(unittest.TestCase):
    def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(self):
        hundred = list(range(1, 101))
        self.assertEqual([percentile(hundred, share) for share in (0, 0.01, 0.5, 0.99, 0.999, 1)], [1, 1, 50, 99, 100, 100])
        self.assertEqual([percentile([7], share) for share in (0.01, 0.5, 1)], [7, 7, 7])

    def test_it_agrees_with_counting(self):
        source = random.Random(1)
        for _ in range(200):
            ordered = sorted(source.randrange(50) for _ in range(source.randint(1, 40)))
            share = source.random()
            expected = next(value for value in ordered if sum(each <= value for each in ordered) >= share * len(ordered))
            self.assertEqual(percentile(ordered, share), expected)

    def test_a_summary_does_not_want_order(self):
        self.assertEqual(summary([3, 1, 2]), {"count": 3, "p50": 2, "p99": 3, "p999": 3, "max": 3})


class Messages(unittest.TestCase):
    def test_what_is_written_is_read(self):
        message = wire.number(3, 300) + wire.content(1, b"x" * 200) + wire.content(1, b"") + bytes([7 << 3 | 1]) + b"12345678"
        self.assertEqual(list(wire.fields(message)), [(3, 300), (1, b"x" * 200), (1, b""), (7, b"12345678")])
        self.assertEqual(wire.all_of(message, 1), [b"x" * 200, b""])
        self.assertEqual(wire.first_of(message, 9, "none"), "none")

    def test_numbers_of_each_length(self):
        for value in (0, 1, 127, 128, 16_383, 16_384, 2 ** 53, 2 ** 64 - 1):
            self.assertEqual(wire.read_varint(wire.varint(value) + b"rest", 0), (value, len(wire.varint(value))))

    def test_a_batch_holds_its_tasks(self):
        tasks = wire.all_of(wire.batch_of([b"one", b"two"], iterations=9), 1)
        self.assertEqual([wire.first_of(task, 2) for task in tasks], [b"one", b"two"])
        self.assertEqual([wire.first_of(wire.first_of(task, 1), 3) for task in tasks], [9, 9])


class MemoryTables(unittest.TestCase):
    def test_the_slope_is_of_the_second_half(self):
        samples = [{"tasks": tasks, "rss": 5_000 + 100 * tasks - (0 if tasks > 500 else 3_000)} for tasks in range(100, 1001, 100)]
        self.assertEqual(memory.slope(samples[4:]), 100)
        self.assertEqual(memory.slope(samples[:1]), 0)

    def test_each_row_of_a_fill_has_its_figure(self):
        held = {"rss": 3 * 2 ** 20, "peak": 4 * 2 ** 20}
        times = {"p50": 0.001, "p99": 0.01}
        restarts = [{"ready_s": 1.0, "first_lease_s": 2.0, "memory": held}] * 2
        fill = {"tasks": 2 ** 20, "body_bytes": 100, "base": {"rss": 2 ** 20}, "settled": held, "filled": held, "samples": [],
                "fill_s": 2.0, "fill_cpu_s": 1.0, "disk": {"all": 5 * 2 ** 20}, "restarts": restarts,
                "latency": {"acquire": times, "complete": times}}
        column = memory.fill_column(fill)
        self.assertEqual(len(column), len(memory.FILL_ROWS))
        rows = dict(zip(memory.FILL_ROWS, column))
        self.assertEqual(rows["at rest"], "2")
        self.assertEqual(rows["bytes of disk a task"], "5")
        self.assertEqual(rows["tasks a second"], "524,288")

    def test_the_soak_shows_the_most_on_disk(self):
        samples = [{"acknowledged": i * 100, "disk": {"all": size * memory.MIB}, "memory": {"rss": 7 * memory.MIB}}
                   for i, size in enumerate([5, 6, 90, 6, 7])]
        lines = memory.soak_lines({"tasks": 400, "seconds": 4.0, "cpu_s": 1.0, "gone_s": 10.0, "samples": samples,
                                   "last": samples[0]})
        self.assertIn("| the most on disk | 200 | 90 | 7 |", lines)
        self.assertIn("| at the end | 400 | 7 | 7 |", lines)


def distribution(p50):
    return {"count": 10, "p50": p50, "p99": 2 * p50, "p999": 3 * p50, "max": 4 * p50}


class Loads(unittest.TestCase):
    def test_a_time_is_counted_from_when_the_task_was_to_arrive(self):
        # The second one could be sent a second late only: it is charged for it.
        rows = [0, 0, 5_000_000, 4_000_000] + [1_000_000_000, 2_000_000_000, 2_003_000_000, 2_002_000_000]
        found = simulator.from_arrival(rows)
        self.assertEqual(found["sent"]["max"], 1.0)
        self.assertEqual((found["stored"]["p50"], found["stored"]["max"]), (0.005, 1.003))
        self.assertEqual((found["leased"]["p50"], found["leased"]["max"]), (0.004, 1.002))

    def test_a_load_shows_the_median_of_its_rounds(self):
        def one_round(rate, p50):
            row = {"rate": rate / 2, "cores": {"manager": 1.0, "simulator": 0.5, "others": 0.0},
                   **dict.fromkeys(("stored", "leased", "sent"), distribution(p50))}
            return {"closed": {"rate": rate, "clients": 256, "cores": row["cores"]}, "loads": [row] * len(load.SHARES)}
        lines = load.lines_of({"rounds": [one_round(100.0, 0.001), one_round(300.0, 0.003), one_round(200.0, 0.002)], "tasks": 7})
        text = " ".join(lines)
        self.assertIn("200.0 (100.0-300.0) tasks a second went through", text)
        self.assertIn("| 50 % | 100.0 (50.00-150.0) | enqueue | 2.00 (1.00-3.00) | 4.00 (2.00-6.00) | 6.00 (3.00-9.00) |", text)
        self.assertIn("| 90 % |", text)

    def test_a_rate_of_the_fleet_shows_what_was_done(self):
        cores = {"manager": 0.5, "simulator": 0.25, "others": 0.125}
        memory_ = {"rss": 64 * 2 ** 20}
        row = {"rate": 500.0, "tasks": 1_000, "seconds": 4.0, "leased": distribution(0.001), "sent": distribution(0.0001),
               "cores": cores, "memory": memory_}
        self.assertEqual(fleet.rate_rows({"rates": [row]}),
                         [["500", "250", "1.00 / 2.00 / 4.0", "0.20", "0.50", "0.25", "0.12", "64"]])

    def test_rates_are_shares_of_the_fleet(self):
        self.assertEqual(fleet.parse(["--workers", "200"]).rates, [2, 10, 20, 40, 60, 100, 200])
        self.assertEqual(fleet.parse(["--workers", "200", "--rates", "7,8.5"]).rates, [7, 8.5])


class Page(unittest.TestCase):
    def test_the_page_has_a_place_for_each_tool(self):
        with open(tool.PAGE, encoding="utf-8") as file:
            page = file.read()
        for name in ("memory", "fleet", "load"):
            self.assertIn("\n\nnew\n\n", report.with_section(page, ["new"], name))



class OnPostgres(unittest.TestCase):
    def sample(self, at, done, size):
        table = {"heap": size * 2 ** 20, "indexes": 2 ** 20, "toast": 0, "live": 5, "dead": 7, "vacuums": 1}
        return {"at_s": float(at), "acknowledged": done, "wal": done * 2_500,
                "tables": {name: dict(table) for name in bloat.TABLES}}

    def test_bloat_shows_the_rate_of_each_part_and_the_largest_it_was(self):
        samples = [self.sample(5 * i, 1_000 * i, 9 if i == 3 else 4) for i in range(1, 11)]
        result = {"tasks": 10_000, "seconds": 50.0, "samples": samples, "gone_s": 2.0, "naptime": "1min", "cpu_s": 1.0,
                  "last": self.sample(60, 10_000, 1), "version": "skep, PostgreSQL"}
        text = "\n".join(bloat.lines_of(result))
        self.assertIn("2.5 KB of WAL a task", text.replace("\n", " "))
        self.assertIn("100 µs of processor time", text.replace("\n", " "))
        self.assertIn("| after 10 tenths of the time | 10,000 | 200 | 4 / 1 | 4 / 1 | 4 / 1 | 21 | 3 |", text)
        self.assertIn("| at its largest | 3,000 | - | 9 / 1 | 9 / 1 | 9 / 1 | 21 | 3 |", text)
        self.assertIn("| all gone, and vacuumed | 10,000 | - | 1 / 1 |", text)

    def test_managers_are_shown_beside_the_queue_without_skep_by_the_median(self):
        def run(count, repeat, tasks):
            phase = {"tasks": tasks, "seconds": 2.0, "p50_ms": 3.0, "p99_ms": 9.0, "server_cpu_s": 1.0}
            return {"managers": count, "batch": 100, "repeat": repeat,
                    "phases": [{"phase": name, **phase} for name in ("cycle", "enqueue", "drain")]}

        runs = [run(count, repeat, 1_000 * (count + 1) * (repeat + 1)) for count in (0, 1, 2) for repeat in range(3)]
        text = "\n".join(managers.lines_of({"runs": runs, "connections": 32, "seconds": 2.0, "repeats": 3}))
        self.assertIn("| SKIP LOCKED, without skep | 1,000 | 1,000 | 1,000 | 3.0 / 9.0 | 500 |", text)
        self.assertIn("| 1 manager | 2,000 |", text)
        self.assertIn("| 2 managers | 3,000 |", text)


if __name__ == "__main__":
    unittest.main()
