#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""chaos.py - whole lives of clusters at an AWS where everything goes wrong, and `skep aws up` cut off after every call.

    chaos.py [--seeds 20] [--first 1] [--only each|all|cuts] [--jobs 2]

A life: up, load on both managers, results, faults off, idle, workers gone, down, nothing left. It is lived once with each
kind of fault by itself, and with all of them at once from each seed. A cut: `up` is killed by the server at its N-th call,
which was carried out and is not answered; run again it ends in the same state as one that was never cut off, for every N.
Exit code 0 if all of it held.

Threads: a life and a row of cuts belong to one thread; `--jobs` of them at once.
"""
import argparse
import concurrent.futures
import glob
import json
import os
import signal
import subprocess
import sys
import time
import traceback

from control import CHAOS
from deploying import DeployTest, steps
from harness import BIN, PATIENCE, Http, NoAnswer, reference, wait_until

KINDS = sorted({rule["kind"] for rule in CHAOS})
TASKS = 16
RUNS_MAX = 12  # of one command, as a person repeats it that ended in a sentence
LIFE_SECONDS = 900.0  # far more than any takes, on a busy machine too
# What a manager of the tests has other than one that serves: a boot takes no minutes here.
QUICK = ('ec2-boot-timeout = "40s"', 'ec2-list-lag = "2s"', 'idle-hold = "1s"', 'policy = "skep:hold_s=2:hold_growth=1:hold_boots_min=0.1"')


class Life(DeployTest):
    """One cluster, its faults, and the person who looks after it."""

    def live(self, seed, kinds=None, is_watched_to_idle=True):
        """The figures of it."""
        began = time.monotonic()
        server = self.server
        server.control("POST", "settings", {"throttle": 0.2, "describe_seconds": 20, "profile_seconds": 60,
                                             "spot_notice_seconds": 600})
        server.control("POST", "chaos", {"seed": seed, "kinds": kinds, "type": "c*", "is_sure": bool(kinds)})
        self.runs = 0
        self.wanted = {}
        self.managers = self.up()
        for number in range(TASKS):
            self.enqueue(number)
        self.compute()
        fired = server.control("GET", "faults")["fired"]
        self.assertTrue(fired, "it has happened")
        server.control("DELETE", "faults")
        if is_watched_to_idle:
            self.managers = self.up()
            wait_until(lambda: not self.instances("worker"), "idle, its workers are gone", LIFE_SECONDS)
        self.until_done("down", "--delete-data")
        self.counts()
        self.tearDown()
        return {"seed": seed, "runs": self.runs, "fired": fired, "seconds": round(time.monotonic() - began, 1)}

    def until_done(self, *more):
        """What ends in one sentence is begun again; the objects that it printed in the end."""
        for _ in range(RUNS_MAX):
            self.runs += 1
            done = self.lab.run(*self.arguments(*more), environment=self.server.environment(), seconds=LIFE_SECONDS)
            if done.returncode == 0:
                return [json.loads(line) for line in done.stdout.decode().splitlines()]
            self.assertEqual(len(done.stderr.decode().splitlines()), 1, done)
            self.assertNotIn("InternalError", done.stderr.decode(), "what can be repeated is repeated by itself")
        raise AssertionError(f"{more} does not get through: {done}")

    def up(self):
        """The managers, ready, with quick times."""
        managers = self.until_done("up", "--wait", "--max-workers", "8", "--instance-type", "m6i.large", "--spot",
                                   "--worker-types", "c5.large,c6i.large,c5.xlarge")[-1]["managers"]
        for manager in managers:
            path = self.lab.path(f"machines-{self.server.region}", manager["instance"], "etc/skep/skep.toml")
            with open(path, "r+", encoding="utf-8") as file:
                if QUICK[0] in file.read():
                    continue
                file.write("\n".join(QUICK) + "\n")
            self.kill_manager(manager)
        for manager in managers:
            wait_until(lambda: self.ask(manager, "GET", "/readyz") is not None, "it is back", PATIENCE)
        return managers

    def kill_manager(self, manager):
        """Its service starts it again."""
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            try:
                with open(path, "rb") as file:
                    is_it = file.read().split(b"\0")[1:2] == [b"manager"]
                with open(os.path.join(os.path.dirname(path), "environ"), "rb") as file:
                    is_it = is_it and f"SKEP_TEST_MACHINE={manager['instance']}".encode() in file.read().split(b"\0")
            except OSError:
                continue  # it has ended
            if is_it:
                os.kill(int(path.split("/")[2]), signal.SIGKILL)

    def ask(self, manager, method, path, body=None, headers=None):
        """The answer if it is a good one, else None."""
        http = Http(manager["address"], timeout=5)
        try:
            answer = http.request(method, path, body=body, headers={**self.client, **(headers or {})})
            return answer if answer.status == 200 else None
        except NoAnswer:
            return None
        finally:
            http.close()

    @property
    def client(self):
        if not hasattr(self, "token_of_clients"):
            self.token_of_clients = self.person(lambda: self.headers("client"))
        return self.token_of_clients

    def person(self, ask):
        """The answer of AWS to somebody who asks until there is one."""
        for _ in range(200):
            try:
                return ask()
            except Exception as error:  # botocore's, for each fault another one
                last = error
        raise AssertionError(f"AWS does not answer: {last}")

    def enqueue(self, number):
        body = f"task {number}".encode()
        manager = self.managers[number % 2]
        for _ in range(RUNS_MAX):
            answer = self.ask(manager, "POST", "/v1/tasks?iterations=2000", body, {"Idempotency-Key": f"task-{number}"})
            if answer:
                self.wanted[answer.json()["id"]] = (number % 2, reference(body, 2000))
                return
            self.managers = self.up()
            manager = self.managers[number % 2]
        raise AssertionError(f"task {number} is not taken")

    def compute(self):
        """Until all is done: a manager that does not answer is looked after by another `up`."""
        deadline = time.monotonic() + LIFE_SECONDS
        left = dict(self.wanted)
        while left:
            self.assertLess(time.monotonic(), deadline, f"not done: {left}\n{self.consoles()[-6000:]}")
            self.assertLessEqual(len(self.instances("worker")), 8, "never more than it may have")
            for task, (index, result) in list(left.items()):
                answer = self.ask(self.managers[index], "GET", f"/v1/tasks/{task}?wait=1s")
                if answer is None:
                    self.managers = self.up()
                    break
                state = answer.json()["state"]
                self.assertNotIn(state, ("dead", "cancelled"), answer)
                if state == "done":
                    got = self.ask(self.managers[index], "GET", f"/v1/tasks/{task}/result")
                    if got:
                        self.assertEqual(got.body.decode().strip(), result)
                        del left[task]


class Cuts(DeployTest):
    """`up` of a cluster whose instances are records only, killed at one of its calls."""

    server_arguments = ("--no-machines", "--rate", "600")

    def setUp(self):
        super().setUp()
        # Of AWS's figures those that make what was just made be missed.
        self.server.control("POST", "settings", {"throttle": 0, "describe_seconds": 60, "profile_seconds": 60})

    def outcome(self):
        """What there is once it has settled, without what is another each time: ids."""
        self.server.advance(120)
        state = self.server.control("GET", "state")
        names = {ident: one["tags"].get("Name", ident) for ident, one in state["instances"].items()}
        kept = [("instance", names[ident], sorted(one["tags"].items()), one["zone"], one["type"])
                for ident, one in state["instances"].items() if one["state"] in ("pending", "running")]
        kept += [("volume", sorted(one["tags"].items()), one["state"], names.get(one["instance"]), one["device"])
                 for one in state["volumes"].values()]
        kept += [("group", one["name"], sorted(one["tags"].items()), len(one["ingress"])) for one in state["security_groups"].values()]
        kept += [("template", one["name"], one["tags"]["skep:cluster"]) for one in state["launch_templates"].values()]
        for kind in ("roles", "instance_profiles", "buckets", "parameters", "databases"):
            kept += [(kind, name, one) for name, one in state[kind].items()]
        return sorted(json.dumps(one, sort_keys=True) for one in kept)

    def reference(self):
        """The outcome of an `up` that nobody cut off, and how many calls it made."""
        self.server.control("DELETE", "requests")
        self.skep("up")
        made = self.outcome(), len(self.server.control("GET", "requests"))
        self.skep("down", "--delete-data")
        return made

    def cut(self, number, wanted):
        """Whether `up` was killed at its call of that number. The next one ends as one that was not."""
        waiting = ["sh", "-c", 'read -r go; exec "$@"', "sh", BIN, *self.arguments("up")]
        with subprocess.Popen(waiting, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              env=self.lab.environment(self.server.environment())) as process:
            self.server.fault("kill", operation="*", after=True, pid=process.pid, skip=number - 1, count=1)
            _, problem = process.communicate(b"go\n", timeout=3 * PATIENCE)
        self.server.control("DELETE", "faults")
        if process.returncode != -signal.SIGKILL:
            self.assertEqual(process.returncode, 0, problem.decode())
        last = self.server.control("GET", "requests")[-1].get("operation")
        self.skep("up")
        self.assertEqual(self.outcome(), wanted, f"cut off after call {number}, {last}")
        self.assertEqual(steps(self.skep("up", "--dry-run"), "planned"), [])
        self.skep("down", "--delete-data")
        self.counts()
        return process.returncode == -signal.SIGKILL


def in_test(kind, act):
    """act(test) with what the test needs made and taken away."""
    test = kind()
    test.setUp()
    try:
        return act(test)
    finally:
        test.doCleanups()


def cut_all(numbers):
    """`up` cut off at each of these calls, until one is beyond its last: (calls of an uncut one, cuts made)."""
    def act(test):
        wanted, calls = test.reference()
        made = 0
        for number in numbers:
            if not test.cut(number, wanted):
                break
            made += 1
        test.tearDown()
        return calls, made
    return in_test(Cuts, act)


def jobs_of(options):
    """(name, what to do) of all that was asked for."""
    if options.only in (None, "each"):
        for kind in KINDS:
            yield f"faults of kind {kind}", lambda kind=kind: in_test(Life, lambda life: life.live(options.first, [kind]))
    if options.only in (None, "all"):
        for seed in range(options.first, options.first + options.seeds):
            yield f"all faults, seed {seed}", lambda seed=seed: in_test(Life, lambda life: life.live(seed))
    if options.only in (None, "cuts"):
        for job in range(options.jobs):
            yield (f"aws up killed at every call, {job + 1} of {options.jobs}",
                   lambda job=job: cut_all(range(job + 1, 100_000, options.jobs)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--only", choices=("each", "all", "cuts"))
    parser.add_argument("--jobs", type=int, default=2, help="how many at once")
    options = parser.parse_args()
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        running = {pool.submit(act): name for name, act in jobs_of(options)}
        for future in concurrent.futures.as_completed(running):
            name = running[future]
            try:
                print(f"held    {name}: {future.result()}", flush=True)
            except Exception:  # whatever it is, the others go on
                failed += 1
                print(f"FAILED  {name}\n{traceback.format_exc()}", flush=True)
    print(f"{len(running)} in all, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
