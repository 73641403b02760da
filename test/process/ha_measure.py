# SPDX-License-Identifier: Apache-2.0
"""ha_measure.py - how long there is no service when a manager or the database's primary is killed, under load.

A manager: from kill -9 until a task of each of its shards is answered by another one; each shard is asked for by a caller of
its own, at a manager that is left. The primary: from kill -9 of Patroni and PostgreSQL until every manager has
acknowledged an enqueue and finds every shard served.

Threads: as ha.py; a thread for each shard that is asked for.
"""
import math
import os
import statistics
import sys
import threading
import time

from ha_cluster import CLIENTS, Ha, MANAGERS, SHARDS, shard_of
from harness import NoAnswer, PATIENCE, ROOT, wait_until

sys.path.insert(0, os.path.join(ROOT, "test", "bench"))
import machine  # noqa: E402
import report  # noqa: E402


def a_task_in_each_shard(ha):
    """Shard -> the id of a task there."""
    found = {}
    http = ha.managers[MANAGERS[0]].http(PATIENCE)
    number = 0
    while len(found) < SHARDS:
        number += 1
        key = f"shard-probe-{number}"
        task = ha.history.want(key.encode(), 1, key)
        answer = http.post("/v1/tasks?iterations=1", task.body, headers={"Idempotency-Key": key})
        if answer.status == 200:
            ha.history.enqueued(task, answer.json()["id"])
            found.setdefault(shard_of(answer.json()["id"]), answer.json()["id"])
    http.close()
    return found


def seconds_until_answered(manager, tasks):
    """From now until each of the tasks was answered once."""
    began = time.monotonic()
    taken = []

    def ask(task):
        http = manager.http(timeout=PATIENCE)
        while time.monotonic() < began + PATIENCE:
            try:
                if http.get(f"/v1/tasks/{task}").status == 200:
                    taken.append(time.monotonic() - began)
                    break
            except NoAnswer:
                continue
        http.close()

    callers = [threading.Thread(target=ask, args=(task,), daemon=True) for task in tasks]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(2 * PATIENCE)
    if len(taken) != len(tasks):
        raise AssertionError(f"{len(tasks) - len(taken)} shards were not answered within {PATIENCE:.0f} s")
    return max(taken)


def kill_a_manager(ha, tasks):
    name = ha.random.choice(MANAGERS)
    other = ha.managers[ha.random.choice([one for one in MANAGERS if one != name])]
    owners = ha.owners(other)
    mine = [task for shard, task in tasks.items() if owners.get(shard) == ha.addresses[name]]
    ha.managers[name].kill()
    seconds = seconds_until_answered(other, mine)
    ha.start_again(name)
    ha.managers[name].ready()
    ha.wait_until_even()
    return seconds


def kill_the_primary(ha):
    ha.database.wait_until_safe()
    wait_until(ha.database.primary, "there is a primary").kill_servers()
    seconds = ha.wait_for_service(MANAGERS)
    ha.database.repair()
    ha.database.wait_until_safe()
    ha.wait_until_even()
    return seconds


def percentile(values, share):
    """By nearest rank: with few values the greatest."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def lines_of(managers, primaries, seed):
    head = ["killed (-9)", "times", "median s", "99 % within s", "longest s"]
    rows = [[what, str(len(seconds)), f"{statistics.median(seconds):.2f}", f"{percentile(seconds, 0.99):.2f}", f"{max(seconds):.2f}"]
            for what, seconds in (("one of three managers, until all its shards are answered", managers),
                                  ("the primary, until every manager acknowledges and finds all shards served", primaries))]
    words = (f"`./dev ha --measure` at commit {machine.commit()}, on {machine.cpu()}, {os.cpu_count()} cores that also run all of "
             f"the cluster, seed {seed}: three managers on Patroni (three PostgreSQL 15, strictly synchronous, `ttl: 5`, "
             f"`loop_wait: 1`), {CLIENTS} clients at work, nothing that was acknowledged lost, delivered twice or wrong.")
    return [*report.paragraph(words), "", *report.table(head, rows)]


def measure(options, lab, networks):
    ha = None
    try:
        ha = Ha(lab, networks, options.seed)
        tasks = a_task_in_each_shard(ha)
        clients = ha.start_clients("measure")
        managers, primaries = [], []
        for number in range(options.kills):
            managers.append(kill_a_manager(ha, tasks))
            ha.say(f"manager {number + 1}: {managers[-1]:.2f} s")
        for number in range(max(1, options.kills // 5)):
            primaries.append(kill_the_primary(ha))
            ha.say(f"primary {number + 1}: {primaries[-1]:.2f} s")
        ha.end_clients(clients)
        findings = ha.check()
    finally:
        if ha is not None:
            ha.database.close()
    if findings:
        print(f"FOUND: {findings}")
        return 1
    lines = lines_of(managers, primaries, options.seed)
    print("\n".join(lines))
    if options.write_docs:
        report.renew(os.path.join(ROOT, "docs", "postgres.md"), lines, "ha")
    return 0
