# SPDX-License-Identifier: Apache-2.0
"""native_worker.py - a worker of the v1 protocol in Python, written from docs/protocol.md.

It tells the history which of its results a manager acknowledged, which no real worker can be asked.

Threads: one of its own, between start() and stop().
"""
import base64
import threading

from harness import Http, NoAnswer, reference
from history import FAILED, UNKNOWN


class NativeWorker:
    def __init__(self, address, history, slots=2):
        self.address = address
        self.history = history
        self.slots = slots
        self.is_stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def stop(self):
        self.is_stopping.set()
        self.thread.join()

    def _run(self):
        http = Http(self.address, timeout=10)
        worker = None
        outcomes = {}  # lease -> (body, result): computed and not acknowledged
        while not self.is_stopping.is_set() or outcomes:
            try:
                if worker is None:
                    worker = self._register(http)
                elif outcomes:
                    worker = self._complete(http, worker, outcomes)
                else:
                    worker = self._acquire(http, worker, outcomes)
            except NoAnswer:
                self.is_stopping.wait(0.05)  # the manager is away: a pause between attempts
        if worker is not None:
            try:
                http.delete(f"/v1/workers/{worker}")
            except NoAnswer:
                pass
        http.close()

    def _register(self, http):
        answer = http.post("/v1/workers", {"name": "python", "slots": self.slots, "kinds": ["sha512"]})
        if answer.status == 200:
            return answer.json()["worker"]
        self.is_stopping.wait(0.05)
        return None

    def _acquire(self, http, worker, outcomes):
        answer = http.post("/v1/leases:acquire",
                           {"worker": worker, "max": self.slots, "wait_ms": 500, "kinds": ["sha512"]})
        if answer.status == 404:
            return None
        for lease in answer.json().get("leases", []) if answer.status == 200 else []:
            body = base64.b64decode(lease["body_base64"]) if "body_base64" in lease else \
                lease.get("body", "").encode()
            outcomes[lease["lease"]] = (body, reference(body, lease["iterations"]))
        return worker

    def _complete(self, http, worker, outcomes):
        message = {"worker": worker, "outcomes": [{"lease": lease, "result": result}
                                                  for lease, (_, result) in outcomes.items()]}
        try:
            answer = http.post("/v1/leases:complete", message)
        except NoAnswer:
            self.history.record("complete", UNKNOWN)
            raise
        if answer.status != 200:
            self.history.record("complete", FAILED)
            self.is_stopping.wait(0.05)
            return worker
        for outcome in answer.json()["outcomes"]:
            body, result = outcomes.pop(outcome["lease"])
            if outcome["status"] == "ok":
                self.history.result_completed(body, result)
            else:
                self.history.record("complete", FAILED)
        return worker
