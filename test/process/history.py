# SPDX-License-Identifier: Apache-2.0
"""history.py - what clients and workers asked of a manager, what they were told, and whether that held.

An operation is invoked and then ends in one of three ways: ok (it was acknowledged), failed (it was refused, so it did
not happen) or unknown (no answer: it may have happened). The audit compares the acknowledgements with each other
and with the state that stands when everything has come to rest.

Threads: any thread.
"""
import collections
import threading

from harness import reference

OK, FAILED, UNKNOWN = "ok", "failed", "unknown"


class Wanted:
    """A task that a client wants to exist. Bodies are unique, so that a result tells whose it is."""

    def __init__(self, body, iterations, key=None):
        self.body = body
        self.iterations = iterations
        self.key = key
        self.result = reference(body, iterations)
        self.ids = set()  # every id that the manager acknowledged for it: more than one is a finding
        self.is_unknown = False  # an enqueue without an answer was made for it


class History:
    def __init__(self):
        self._lock = threading.Lock()
        self.counts = collections.Counter()
        self.tasks_acknowledged = 0
        self.wanted = []
        self.pulled = []  # (id, result) in the order of their arrival
        self.completed = []  # (body, result) whose completion a manager acknowledged
        self.surprises = []  # answers that nothing in the protocol allows

    def record(self, operation, outcome):
        with self._lock:
            self.counts[operation, outcome] += 1

    def want(self, body, iterations, key=None):
        task = Wanted(body, iterations, key)
        with self._lock:
            self.wanted.append(task)
        return task

    def enqueued(self, task, task_id):
        with self._lock:
            self.counts["enqueue", OK] += 1
            self.tasks_acknowledged += task_id not in task.ids
            task.ids.add(task_id)

    def enqueue_unknown(self, task):
        with self._lock:
            self.counts["enqueue", UNKNOWN] += 1
            task.is_unknown = True

    def results_pulled(self, items):
        with self._lock:
            self.counts["pull", OK] += 1
            self.pulled.extend(items)

    def result_completed(self, body, result):
        with self._lock:
            self.counts["complete", OK] += 1
            self.completed.append((body, result))

    def surprise(self, what):
        with self._lock:
            if len(self.surprises) < 100:
                self.surprises.append(what)


class Audit:
    """Reads a manager at rest and names everything that contradicts the history."""

    def __init__(self, history, http):
        self.history = history
        self.http = http
        self.states = {}  # id -> Task as listed
        self.findings = collections.defaultdict(list)
        self.read_by_id = 0  # results whose pull got no answer, found at GET /v1/tasks/{id}

    def run(self):
        self._list_tasks()
        self._check_enqueued()
        self._check_pulled()
        self._check_completed()
        for what in self.history.surprises:
            self.findings["surprises"].append(what)
        return self

    def _list_tasks(self):
        cursor = ""
        while True:
            page = self.http.get(f"/v1/tasks?limit=1000&cursor={cursor}").json()
            for task in page.get("tasks", []):
                if task["id"] in self.states:
                    self.findings["listed twice"].append(task["id"])
                self.states[task["id"]] = task
            cursor = page.get("next_cursor", "")
            if not cursor:
                return

    def _check_enqueued(self):
        pulled = collections.Counter(task_id for task_id, _ in self.history.pulled)
        known = set()
        for task in self.history.wanted:
            if len(task.ids) > 1:
                self.findings["one key, two tasks"].append((task.key, sorted(task.ids)))
            for task_id in task.ids:
                known.add(task_id)
                self._check_one(task_id, task, pulled[task_id])
        # Tasks whose enqueue got no answer: they may be there, each at most once.
        maybe = collections.Counter(task.result for task in self.history.wanted if task.is_unknown and not task.ids)
        for task_id, task in self.states.items():
            if task_id in known or task["state"] != "done":
                continue
            result = self._result_of(task_id)
            if maybe[result] == 0:
                self.findings["tasks that nobody wanted"].append(task_id)
            maybe[result] -= 1

    def _check_one(self, task_id, task, pulled):
        seen = self.states.get(task_id)
        if seen is None:
            self.findings["lost"].append(task_id)
        elif seen["state"] == "dead":
            self.findings["dead"].append((task_id, seen.get("reason"), seen.get("errors")))
        elif seen["state"] != "done":
            self.findings["not finished"].append((task_id, seen["state"]))
        elif pulled == 0:
            # Its pull was lost on the way: the result must stand all the same.
            self.read_by_id += 1
            result = self._result_of(task_id)
            if result is None:
                self.findings["lost"].append((task_id, "its result is not there"))
            elif result != task.result:
                self.findings["wrong"].append((task_id, result))

    def _result_of(self, task_id):
        answer = self.http.get(f"/v1/tasks/{task_id}")
        return answer.json().get("result") if answer.status == 200 else None

    def _check_pulled(self):
        expected = {}
        unknown = set()
        for task in self.history.wanted:
            for task_id in task.ids:
                expected[task_id] = task.result
            if task.is_unknown:
                unknown.add(task.result)
        for task_id, times in collections.Counter(task_id for task_id, _ in self.history.pulled).items():
            if times > 1:
                self.findings["delivered twice"].append((task_id, times))
        for task_id, result in self.history.pulled:
            right = result == expected[task_id] if task_id in expected else result in unknown
            if not right:
                self.findings["wrong"].append((task_id, result))

    def _check_completed(self):
        """A result whose completion was acknowledged stands."""
        by_body = {task.body: task for task in self.history.wanted}
        for body, result in self.history.completed:
            task = by_body.get(body)
            if task is None:
                self.findings["tasks that nobody wanted"].append(body[:40])
            elif task.result != result:
                self.findings["wrong"].append((body[:40], result))
            elif task.ids and all(self.states.get(one, {}).get("state") != "done" for one in task.ids):
                self.findings["lost"].append((sorted(task.ids), "its completion was acknowledged"))
