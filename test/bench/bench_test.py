#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: the arithmetic of `./dev bench compute` and `queue` is right: medians, ratios, tasks, what is read and written.

Method: made-up measurements and disassembly; nothing is timed and nothing needs a build.
"""
import math
import statistics
import tempfile
import unittest
import xml.dom.minidom
import xml.etree.ElementTree

import flame
import kernel_limits
import queue_picture
import queue_report
import queue_servers
import queues
import report
from task_list import BODY_BYTES, ITERATIONS, POOL_BYTES, TaskList


def row(name, units, seconds):
    return {"name": name, "what": "words", "rounds": 1, "units": units, "seconds": seconds}


class Arithmetic(unittest.TestCase):
    def test_spread_is_median_and_range(self):
        self.assertEqual(report.spread([5, 1, 9]), (5, 1, 9))
        self.assertEqual(report.spread([1, 2, 3, 10]), (2.5, 1, 10))

    def test_ratios_are_taken_within_a_round(self):
        # The machine is twice as slow in the second round: the ratio of medians would be disturbed, these are not.
        baseline = row("base", 100, [1.0, 2.0, 1.0])
        self.assertEqual(report.paired_ratios(row("x", 300, [1.0, 2.0, 1.0]), baseline), [3.0, 3.0, 3.0])
        self.assertEqual(report.paired_ratios(baseline, baseline), [1.0, 1.0, 1.0])
        self.assertEqual(report.rates(baseline), [100.0, 50.0, 100.0])

    def test_rows_of_different_rounds_have_no_ratio(self):
        with self.assertRaises(ValueError):
            report.paired_ratios(row("x", 1, [1.0]), row("base", 1, [1.0, 1.0]))

    def test_cycles_are_of_the_clock_of_the_same_round(self):
        clock = row("clock", 3_000, [1.0, 2.0])  # 3,000 and 1,500 cycles a second
        kernel = {**row("kernel", 40, [1.0, 2.0]), "rounds": 10}
        self.assertEqual(report.cycles_a_step(kernel, clock), [300.0, 300.0])

    def test_share_holds_the_worker_against_the_bounds_around_it(self):
        self.assertEqual(report.shares([{"bound_before_s": 9.0, "bound_after_s": 11.0, "worker_s": 12.5}]), [0.8])


class ListOfTasks(unittest.TestCase):
    def test_the_same_seed_gives_the_same_list(self):
        one, two, other = TaskList(50, seed=7), TaskList(50, seed=7), TaskList(50, seed=8)
        self.assertEqual((one.tasks, one.pool), (two.tasks, two.pool))
        self.assertNotEqual(one.tasks, other.tasks)

    def test_sizes_are_uniform_and_iterations_log_uniform(self):
        tasks = TaskList(20_000).tasks
        sizes, iterations = [size for _, size, _ in tasks], [count for _, _, count in tasks]
        self.assertTrue(all(BODY_BYTES[0] <= size <= BODY_BYTES[1] for size in sizes))
        self.assertTrue(all(ITERATIONS[0] <= count <= ITERATIONS[1] for count in iterations))
        self.assertAlmostEqual(statistics.mean(sizes) / statistics.mean(BODY_BYTES), 1, delta=0.02)
        logs = [math.log10(count) for count in iterations]
        for quarter, expected in zip(statistics.quantiles(logs, n=4), (2.25, 3.5, 4.75)):
            self.assertAlmostEqual(quarter, expected, delta=0.05)

    def test_a_body_is_where_the_written_list_says(self):
        tasks = TaskList(20)
        with tempfile.TemporaryDirectory() as directory:
            listed, pool = tasks.write(directory)
            with open(pool, "rb") as file:
                data = file.read()
            with open(listed, encoding="ascii") as file:
                lines = [tuple(map(int, line.split())) for line in file]
        self.assertEqual(len(data), POOL_BYTES)
        self.assertEqual(lines, tasks.tasks)
        for (begin, size, _), task in zip(lines, tasks.tasks):
            self.assertEqual(data[begin:begin + size], tasks.body(task))
            self.assertEqual(len(tasks.body(task)), size)

    def test_batches_keep_order_and_limits(self):
        tasks = TaskList(300)
        groups = list(tasks.batches(1_000_000, 7))
        self.assertEqual([task for group in groups for task in group], tasks.tasks)
        for group in groups:
            self.assertLessEqual(len(group), 7)
            self.assertLessEqual(sum(size for _, size, _ in group), 1_000_000)
        self.assertEqual(max(map(len, groups)), 7)


DISASSEMBLY = """
0000000000001000 <void skep::compute::N_AVX3::chain_kernel<skep::compute::N_AVX3::Pair<skep::compute::N_AVX3::Vector, \
skep::compute::N_AVX3::Scalar> >(skep::compute::LaneState&, unsigned long)>:
    1000:\tpush   %rbp
    1001:\tje     1010 <void skep::compute::N_AVX3::chain_kernel<X>(skep::compute::LaneState&, unsigned long)+0x10>
    1002:\tvpaddq 0x10(%rip),%zmm1,%zmm2        # 2000 <skep::compute::kRound>
    1003:\tadd    %rax,%rbx
    1004:\tjne    1003 <void skep::compute::N_AVX3::chain_kernel<X>(skep::compute::LaneState&, unsigned long)+0x3>
    1005:\tsub    $0x1,%rsi
    1006:\tjne    1002 <void skep::compute::N_AVX3::chain_kernel<X>(skep::compute::LaneState&, unsigned long)+0x2>
    1010:\tret
    1011:\tjmp    1010 <void skep::compute::N_AVX3::chain_kernel<X>(skep::compute::LaneState&, unsigned long)+0x10>

0000000000003000 <main>:
    3000:\tret
"""


class KernelsLoop(unittest.TestCase):
    def test_one_step_writes_out_the_inner_loop(self):
        found = kernel_limits.functions_in(DISASSEMBLY)
        self.assertEqual(list(found), ["avx512 8+1"])
        step = kernel_limits.one_step(found["avx512 8+1"])
        self.assertEqual([line.split()[0] for line in step], ["vpaddq"] + 3 * ["add", "jne"] + ["sub", "jne"])
        self.assertEqual([kernel_limits.is_vector(line) for line in step], [True] + 8 * [False])
        self.assertEqual(step[0], "vpaddq 0x10(%rip),%zmm1,%zmm2")

    def test_loops_of_another_form_are_refused(self):
        self.assertIsNone(kernel_limits.one_step([(1, "add %rax,%rbx"), (2, "jne 1"), (3, "ret")]))
        self.assertIsNone(kernel_limits.one_step([(1, "ret")]))


class Page(unittest.TestCase):
    def test_only_what_is_between_the_markers_is_replaced(self):
        begin, end = report.markers("compute")
        other = "\n".join(report.markers("queue"))
        page = f"above\n{begin}\nold\n{end}\n{other}\n"
        self.assertEqual(report.with_section(page, ["new", ""], "compute"), f"above\n{begin}\n\nnew\n\n{end}\n{other}\n")
        with self.assertRaises(ValueError):
            report.with_section("no markers", ["new"], "compute")

    def test_a_table_shows_medians_ranges_and_paired_ratios(self):
        rows = [row(report.BASELINE, 5_000_000, [1.0, 2.0, 1.0]), row("x", 50_000_000, [1.0, 2.0, 2.0])]
        lines = report.chains_lines({"slice_ms": 100, "rows": rows})
        self.assertIn("3 rounds of 100 ms", lines[2])
        self.assertEqual(lines[-2], "| x | 25.00 (25.00-50.00) | 10.00 (5.00-10.00) | words |")


def phase(name, tasks, seconds, p50_ms=1.0):
    request = {"count": tasks, "p50_ms": p50_ms, "p99_ms": 9.0, "max_ms": 10.0}
    return {"phase": name, "tasks": tasks, "seconds": seconds, "refused": 0, "driver_cpu_s": 0.1, "server_cpu_s": 0.2,
            "round": request, "enqueue": request, "lease": request, "complete": request}


def queue_run(peer, tasks, repeat, connections=1):
    return {"peer": peer, "body_bytes": 1024, "connections": connections, "batch": 1, "repeat": repeat, "memory_bytes": 5_000_000,
            "phases": [phase(name, tasks, 2.0) for name in ("cycle", "enqueue", "drain")]}


def queue_result(runs):
    peers = dict.fromkeys(run["peer"] for run in runs)
    sync = {"count": 10, "p50_ms": 0.5, "p99_ms": 2.0, "max_ms": 3.0}
    return {"command": "./dev bench queue", "commit": "abc", "load": 0.1, "seconds": 2.0, "repeats": 3, "runs": runs,
            "machine": {"cpu": "a processor", "cores": 2, "memory_bytes": 8e9, "kernel": "6", "file_system": "ext2/ext3"},
            "peers": [{"name": name, "version": "1", "durability": "all", "driven": "well", "is_synced": name == "skep"} for name in peers],
            "disk": [{"append_bytes_a_second": rate, "sync": sync} for rate in (1e8, 3e8, 2e8)]}


class Queues(unittest.TestCase):
    def setUp(self):
        self.result = queue_result([queue_run(peer, tasks, repeat, connections) for repeat, tasks in enumerate((200, 1_000, 600))
                                    for peer in ("skep", "other <&>") for connections in (1, 64)])

    def test_a_phase_is_found_in_each_repeat_of_its_plan(self):
        self.assertEqual(queue_report.rates(queue_report.phases_of(self.result, "skep", (1024, 64, 1), "drain")),
                         [100.0, 500.0, 300.0])
        self.assertEqual(queue_report.phases_of(self.result, "skep", (1024, 16, 1), "drain"), [])

    def test_processor_time_is_of_a_task(self):
        self.assertEqual(queue_report.microseconds_a_task([phase("cycle", 1_000, 2.0)], "server_cpu_s"), [200.0])
        self.assertEqual(queue_report.microseconds_a_task([phase("cycle", 0, 2.0)], "server_cpu_s"), [])

    def test_tables_show_medians_with_their_ranges(self):
        lines = queue_report.lines_of(self.result)
        row = "| skep | 300 (100-500) | 300 (100-500) | 1.00 / 9.00 | 1.00 / 9.00 | 333.3 | 166.7 |"
        self.assertEqual(lines.count(row), 3)
        self.assertIn("| 1 MB appended, fdatasync, again: MB/s | 200 (100-300) |", lines)
        self.assertIn("| at the first rate, each written once, a second | 195,312 bodies of 1 KiB |", lines)

    def test_refusals_are_told(self):
        self.assertEqual(queue_report.refused_lines(self.result, 1024, 1), [])
        self.result["runs"][0]["phases"][0]["refused"] = 7
        self.assertEqual(queue_report.refused_lines(self.result, 1024, 1)[0],
                         'skep said "not now" 7 times beside 32,400 requests that it took.')

    def test_the_picture_is_xml_with_a_bar_for_each_peer(self):
        root = xml.etree.ElementTree.fromstring(queue_picture.svg_of(self.result))
        bars = [each for each in root if each.tag.endswith("rect")]
        self.assertEqual(len(bars), 2)
        self.assertEqual(bars[0].get("width"), bars[1].get("width"))
        self.assertEqual([each.get("opacity") for each in bars], [None, queue_picture.PALE])
        self.assertIn("other <&>", [each.text for each in root])

    def test_what_was_not_measured_has_no_figure(self):
        runs = [queue_run("skep", 200, 0), queue_run("skep", 200, 0, connections=64)]
        runs.append({**queue_run("skep", 400, 0), "batch": 100})
        result = queue_result(runs)
        self.assertEqual(queue_report.phase_table(result, 1024, 100, "cycle")[-1],
                         "| skep | 200 | - | 1.00 / 9.00 | - | 500.0 | 250.0 |")
        self.assertIn("1 KiB, 100 tasks a request, 1 connection<", queue_picture.svg_of(result))

    def test_plans_that_are_too_much_at_once_are_left_out(self):
        options = queues.parse(["--bodies", "1024,65536", "--connections", "16,64", "--batches", "100"])
        self.assertEqual(queues.plans_of(options), [(1024, 16, 100), (1024, 64, 100), (65536, 16, 100)])

    def test_a_servers_processes_are_the_tree_below_it(self):
        self.assertEqual(queue_servers.tree_of(1, {1: 0, 2: 1, 3: 2, 4: 0, 5: 4}), {1, 2, 3})


class Flame(unittest.TestCase):
    SAMPLES = """skep-commit
    7f00 rocksdb::MemTable::Add(unsigned long, rocksdb::Slice const&)+0x10
    7f01 skep::store::RocksdbEngine::write(skep::store::Sync)
    7f02 [unknown]

skep-commit
    7f01 skep::store::RocksdbEngine::write(skep::store::Sync)
    7f02 [unknown]

http-0
    ffff do_syscall_64

"""

    def test_stacks_are_read_from_the_outermost_on(self):
        stacks = list(flame.stacks_of(self.SAMPLES.splitlines()))
        self.assertEqual(stacks, [("skep-commit", ["?", "skep::store::RocksdbEngine::write", "rocksdb::MemTable::Add"]),
                                  ("skep-commit", ["?", "skep::store::RocksdbEngine::write"]),
                                  ("http-0", ["do_syscall_64"])])

    def test_shares_count_a_sample_once_and_include_what_it_calls(self):
        stacks = list(flame.stacks_of(self.SAMPLES.splitlines()))
        shares = flame.inclusive(stacks, ["skep::store::", "rocksdb::", "none"])
        self.assertAlmostEqual(shares["skep::store::"], 2 / 3)
        self.assertAlmostEqual(shares["rocksdb::"], 1 / 3)
        self.assertEqual(shares["none"], 0)
        root = flame.tree_of(stacks)
        self.assertEqual(root.samples, 3)
        write = root.children["skep-commit"].children["skep::store::RocksdbEngine::write"]
        self.assertEqual((write.samples, write.children["rocksdb::MemTable::Add"].samples), (2, 1))

    def test_a_picture_is_well_formed_and_names_what_is_wide(self):
        root = flame.tree_of(flame.stacks_of(self.SAMPLES.splitlines()))
        picture = xml.dom.minidom.parseString(flame.svg_of(root, "a <title>"))
        titles = [node.firstChild.data for node in picture.getElementsByTagName("title")]
        self.assertIn("do_syscall_64: 33.3 %", titles)

    def test_symbols_lose_their_arguments(self):
        for symbol, expected in (("std::vector<int, std::allocator<int> >::push_back(int const&)", "std::vector::push_back"),
                                 ("do_futex", "do_futex"), ("operator new(unsigned long)", "operator new"),
                                 ("skep::Runner::Impl::run()", "skep::Runner::Impl::run")):
            self.assertEqual(flame.short(symbol), expected)


if __name__ == "__main__":
    unittest.main()
