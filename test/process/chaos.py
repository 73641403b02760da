#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""chaos.py - kill -9 of the manager at random moments under load, and an audit of all that was acknowledged.

    chaos.py [--kills 200] [--clients 50] [--seed N] [--directory DIR]

The manager is `skep up`, so that its workers are its children; two independent workers and one written in Python
compute beside them, and one of the independent ones is killed now and then, too. Clients enqueue (by the seed's protocol,
by v1, in batches, with and without Idempotency-Key), pull, and look. After each kill the manager is started again on
the same directory and port; some kills come while it starts. In the end everything has to come to rest by itself, is
drained and audited: exit code 0 if every promise held.
"""
import argparse
import base64
import random
import sys
import threading
import time

from harness import Http, Lab, NoAnswer, NotSent, PATIENCE, QUICK, free_port, subcommands, wait_until
from history import FAILED, UNKNOWN, Audit, History
from native_worker import NativeWorker

# Work that waits, beyond which clients only pull and look: a slow machine gets fewer tasks, not a longer test.
BACKLOG_MAX = 3000
THINK_SECONDS = 0.1
RETRY_SECONDS = 60.0


def is_unknown(answer):
    """An answer that says that what was asked for may have happened."""
    return answer.status in (500, 504) and answer.json().get("code") in ("unknown_outcome", "timeout")


class Client(threading.Thread):
    """One client: asks one thing after the other, and repeats what it may repeat."""

    def __init__(self, chaos, number):
        super().__init__(daemon=True)
        self.chaos = chaos
        self.random = random.Random(f"{chaos.seed}/{number}")
        self.http = chaos.connection(number)
        self.number = number
        self.made = 0
        self.acknowledged = []

    def run(self):
        while not self.chaos.is_over.wait(self.random.uniform(0, 2 * THINK_SECONDS)):
            try:
                self.random.choices([self.enqueue, self.pull, self.look], [70, 20, 10])[0]()
            except Exception as error:  # a thread's exception would be seen by nobody
                self.chaos.history.surprise(f"client: {type(error).__name__}: {error}")
        self.http.close()

    def body(self):
        self.made += 1
        head = f"client {self.number} task {self.made} ".encode()
        return head + self.random.randbytes(self.random.choice([0, 10, 100, 5000]))

    def enqueue(self):
        history = self.chaos.history
        if history.tasks_acknowledged - len(history.pulled) > BACKLOG_MAX:
            return self.pull()
        form = self.random.choices(["seed", "v1", "keyed", "batch"], [30, 20, 40, 10])[0]
        if form == "batch":
            return self.enqueue_batch()
        body, iterations = self.body(), self.random.choices([1, 10, 100, 3000, 300000], [10, 10, 10, 10, 1])[0]
        key = f"{self.number}-{self.made}" if form == "keyed" else None
        task = history.want(body, iterations, key)
        deadline = time.monotonic() + RETRY_SECONDS
        while True:
            if form == "seed":
                is_known = self.ask(task, "PUT", f"/enqueue?iterations={iterations}", body, {})
            else:
                headers = {"Idempotency-Key": key} if key else {}
                is_known = self.ask(task, "POST", f"/v1/tasks?iterations={iterations}", body, headers)
            # Without a key the repetition of an unknown outcome would be another task.
            if is_known or not key:
                break
            if time.monotonic() > deadline:
                history.surprise(f"no answer for {RETRY_SECONDS} s to an enqueue")
                break
        if key and task.ids and self.random.random() < 0.2:
            self.ask(task, "POST", f"/v1/tasks?iterations={iterations}", body, {"Idempotency-Key": key})

    def ask(self, task, method, path, body, headers):
        """True if the outcome is known."""
        history = self.chaos.history
        try:
            answer = self.http.request(method, path, body, headers)
        except NotSent:
            history.record("enqueue", FAILED)
            self.chaos.wait_for_manager()
            return False
        except NoAnswer:
            history.enqueue_unknown(task)
            self.chaos.wait_for_manager()
            return False
        if answer.status == 200:
            history.enqueued(task, answer.json()["id"])
            self.acknowledged.append(answer.json()["id"])
            return True
        if answer.status == 503:
            history.record("enqueue", FAILED)
            self.chaos.wait_for_manager()
            return False
        if is_unknown(answer):
            history.enqueue_unknown(task)
            return False
        history.surprise(f"enqueue: {answer}")
        return True

    def enqueue_batch(self):
        history = self.chaos.history
        tasks = [history.want(self.body(), self.random.choice([1, 10])) for _ in range(5)]
        message = {"tasks": [{"options": {"iterations": task.iterations},
                              "body_base64": base64.b64encode(task.body).decode()} for task in tasks]}
        try:
            answer = self.http.post("/v1/tasks:batch", message)
        except NotSent:
            history.record("enqueue", FAILED)
            return
        except NoAnswer:
            for task in tasks:
                history.enqueue_unknown(task)
            return
        if answer.status == 200:
            for task, item in zip(tasks, answer.json()["tasks"], strict=True):
                history.enqueued(task, item["id"])
        elif answer.status == 503:
            history.record("enqueue", FAILED)
        elif is_unknown(answer):
            for task in tasks:
                history.enqueue_unknown(task)
        else:
            history.surprise(f"batch: {answer}")

    def pull(self):
        history = self.chaos.history
        try:
            answer = self.http.post(f"/pullCompleted?top={self.random.choice([1, 10, 100])}")
        except NotSent:
            history.record("pull", FAILED)
            return
        except NoAnswer:
            history.record("pull", UNKNOWN)
            return
        if answer.status == 200:
            history.results_pulled([(item["id"], item["result"]) for item in answer.json()["items"]])
        elif answer.status == 503:
            history.record("pull", FAILED)
        elif is_unknown(answer):
            history.record("pull", UNKNOWN)
        else:
            history.surprise(f"pull: {answer}")

    def look(self):
        """An acknowledged task is there, at any time."""
        if not self.acknowledged:
            return
        task_id = self.random.choice(self.acknowledged)
        try:
            answer = self.http.get(f"/v1/tasks/{task_id}")
        except NoAnswer:
            return
        if answer.status not in (200, 503) and not is_unknown(answer):
            self.chaos.history.surprise(f"acknowledged task {task_id}: {answer}")


class Chaos:
    def __init__(self, lab, kills, clients, seed):
        self.lab = lab
        self.kills = kills
        self.seed = seed
        self.random = random.Random(seed)
        self.history = History()
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.is_over = threading.Event()
        self.manager = None
        self.worker_kills = 0
        self.kills_while_starting = 0
        self.start_seconds = []
        self.clients = [Client(self, number) for number in range(clients)]

    def connection(self, _number):
        """That of a client."""
        return Http(self.address, timeout=20)

    def start_manager(self):
        self.manager = self.lab.manager_not_ready(["--min-workers", "1", "--max-workers", "2", "--target-wait", "1s", *QUICK],
                                                  port=self.port, command="up")

    def wait_for_manager(self):
        """A pause of a client whose manager is away."""
        self.is_over.wait(0.02)

    def start_worker(self):
        return self.lab.worker(f"http://{self.address}", ["--slots", "2"])

    def run(self):
        began = time.monotonic()
        self.start_manager()
        self.manager.ready()
        workers = [self.start_worker(), self.start_worker()]
        python_worker = NativeWorker(self.address, self.history).start()
        for client in self.clients:
            client.start()
        for number in range(self.kills):
            self.kill_once(workers)
            if (number + 1) % 20 == 0:
                print(f"{number + 1} kills, {self.history.tasks_acknowledged} tasks acknowledged", file=sys.stderr)
        self.manager.ready()
        self.is_over.set()
        for client in self.clients:
            client.join()
        python_worker.stop()
        figures = self.come_to_rest(workers)
        figures["seconds"] = round(time.monotonic() - began, 1)
        return figures

    def kill_once(self, workers):
        if self.random.random() < 0.2:
            # While it starts. A pause here is what is tested: a random moment.
            self.is_over.wait(self.random.uniform(0, 0.06))
            self.kills_while_starting += self.manager.first_line is None
        else:
            self.manager.ready()
            self.start_seconds.append(time.monotonic() - self.manager.started_at)
            self.is_over.wait(self.random.uniform(0, 1.0))
        self.manager.kill()
        if self.random.random() < 0.1:
            victim = self.random.randrange(len(workers))
            workers[victim].kill()
            workers[victim] = self.start_worker()
            self.worker_kills += 1
        self.start_manager()

    def come_to_rest(self, workers):
        """No more faults: everything finishes by itself, is pulled, audited and closed."""
        history = self.history
        http = Http(self.address)

        def is_at_rest():
            tasks = http.get("/v1/cluster").json().get("tasks", {})
            return not any(tasks.get(state) for state in ("queued", "leased", "delayed"))

        wait_until(is_at_rest, "every task is finished after the faults stopped", 2 * PATIENCE)
        while True:
            items = http.post("/pullCompleted?top=10000").json()["items"]
            if not items:
                break
            history.results_pulled([(item["id"], item["result"]) for item in items])
        audit = Audit(history, http).run()
        http.close()
        findings = audit.findings
        code, seconds = self.manager.terminate()
        if code != 0 or seconds > 5.5:
            findings["manager's end"].append(f"exit code {code} after {seconds:.1f} s")
        for worker in workers:
            worker.terminate()
        verified = "no such subcommand"
        if "verify" in subcommands():
            verify = self.lab.run("verify", self.manager.directory, seconds=5 * PATIENCE)
            verified = "clean" if verify.returncode == 0 else "FINDINGS"
            if verify.returncode != 0:
                findings["verify"].append((verify.stdout + verify.stderr).decode()[-2000:])
        wait_until(lambda: not self.lab.survivors(), "no process is left behind", 2 * PATIENCE)
        return {
            "kills of the manager": self.kills,
            "  while it started": self.kills_while_starting,
            "kills of a worker": self.worker_kills,
            "clients": len(self.clients),
            "start, slowest seconds": round(max(self.start_seconds, default=0), 2),
            "enqueues acknowledged": history.tasks_acknowledged,
            "enqueues of unknown outcome": history.counts["enqueue", UNKNOWN],
            "results pulled": len(history.pulled),
            "pulls of unknown outcome": history.counts["pull", UNKNOWN],
            "  their results, read by id": audit.read_by_id,
            "completions acknowledged (python worker)": history.counts["complete", "ok"],
            "lost": len(findings["lost"]) + len(findings["not finished"]),
            "delivered twice": len(findings["delivered twice"]),
            "wrong results": len(findings["wrong"]),
            "dead": len(findings["dead"]),
            "skep verify": verified,
            "findings": {name: what[:5] for name, what in findings.items() if what},
        }


def show(figures):
    for name, value in figures.items():
        if name != "findings":
            print(f"{name:42} {value}")
    for name, what in figures["findings"].items():
        print(f"FOUND {name}:")
        for one in what:
            print(f"    {one}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--store", default="rocksdb", help="the engine: rocksdb or log")
    parser.add_argument("--directory", default=None, help="where the store is made [the system's temporary directory]")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}", file=sys.stderr)
    with Lab(options.directory, options.store) as lab:
        figures = Chaos(lab, options.kills, options.clients, seed).run()
        show({"seed": seed, **figures})
        if figures["findings"]:
            for process in lab.processes[-5:]:
                sys.stderr.write(f"---- {' '.join(process.arguments[:2])}\n{process.log()}\n")
    return 1 if figures["findings"] else 0


if __name__ == "__main__":
    sys.exit(main())
