# SPDX-License-Identifier: Apache-2.0
"""harness.py - real managers and workers on free ports, for the process tests.

A Lab is one test's world: a temporary directory, the processes started in it, and their end. Whatever happens in the
test, nothing that it started outlives Lab.close(), grandchildren included: every process carries the lab's mark in
its environment and is found by it.

Nothing here sleeps to let something happen: wait_until() polls a condition up to a deadline.

Threads: a Lab belongs to one thread; an Http too. Answer is a value.
"""
import atexit
import hashlib
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("SKEP_BIN") or os.path.join(ROOT, "build", "skep")
POLL_SECONDS = 0.02
# Far more than anything needs on a busy machine: a test that meets it found a hang.
PATIENCE = 60.0


# Intervals that keep tests of lost workers short. The defaults are tested where a promise is made for them.
def quick(lease="3s"):
    return ["--heartbeat", "200ms", "--worker-timeout", "1s", "--lease", lease]


QUICK = quick()


def reference(body, iterations):
    """The result of a sha512 task, computed by another library than the product's engine."""
    digest = hashlib.sha512(body).digest()
    for _ in range(iterations - 1):
        digest = hashlib.sha512(digest).digest()
    return digest.hex()


def wait_until(condition, what, seconds=PATIENCE):
    """Polls until condition() is true and returns its value; fails with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(POLL_SECONDS)


def free_port():
    """A free port below the ephemeral range, for a manager that is to come back on the same one.

    A port of that range could be taken by any outgoing connection while the manager is down, even by the one that
    a client is just trying to open to it.
    """
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        low = int(file.read().split()[0])
    for _ in range(200):
        port = random.randrange(max(1024, low - 20000), low)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port found")


def subcommands():
    """The names under "Subcommands:" of skep --help."""
    lines = subprocess.run([BIN, "--help"], capture_output=True, timeout=PATIENCE, check=True).stdout.decode().split("\n")
    names = []
    for line in lines[lines.index("Subcommands:") + 1:]:
        if not line.startswith("  ") or not line.strip():
            break
        if not line.startswith("   "):
            names.append(line.split()[0])
    return names


class NoAnswer(Exception):
    """The request may or may not have been carried out."""


class NotSent(NoAnswer):
    """No connection came about: the request certainly was not carried out."""


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:300]!r}"


class Http:
    """One keep-alive connection to a manager. A request is sent once: repeating it is the caller's decision."""

    def __init__(self, address, timeout=PATIENCE):
        self.address = address
        self.timeout = timeout
        self._connection = None

    def request(self, method, path, body=None, headers=None, timeout=None):
        fresh = self._connection is None
        if fresh:
            host, _, port = self.address.rpartition(":")
            self._connection = http.client.HTTPConnection(host, int(port), timeout=self.timeout)
            try:
                self._connection.connect()
                self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                self.close()
                raise NotSent(str(error)) from error
        try:
            self._connection.sock.settimeout(timeout or self.timeout)
            self._connection.request(method, path, body=body, headers=headers or {})
            response = self._connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
            if self._connection.sock is None or response.will_close:
                self.close()
            return answer
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise NoAnswer(f"{type(error).__name__}: {error}") from error

    def get(self, path, **kwargs):
        return self.request("GET", path, **kwargs)

    def post(self, path, body=None, **kwargs):
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        return self.request("POST", path, body=body if body is not None else b"", **kwargs)

    def put(self, path, body=b"", **kwargs):
        return self.request("PUT", path, body=body, **kwargs)

    def delete(self, path, **kwargs):
        return self.request("DELETE", path, **kwargs)

    def close(self):
        if self._connection is not None:
            self._connection.close()
        self._connection = None


class Process:
    """One started process. Its first line on stdout, its stderr in a file."""

    def __init__(self, lab, name, arguments, environment=None, stdin=None):
        self.name = name
        self.lab = lab
        self.arguments = arguments
        self.stderr_path = os.path.join(lab.directory, f"{name}.{len(lab.processes)}.stderr")
        self.started_at = time.monotonic()
        with open(self.stderr_path, "wb") as stderr:
            self.popen = subprocess.Popen(arguments, stdin=stdin or subprocess.DEVNULL, stdout=subprocess.PIPE,
                                          stderr=stderr, env=lab.environment(environment))
        self.pid = self.popen.pid
        self.first_line = None
        self._has_first_line = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        lab.processes.append(self)

    def _read(self):
        with self.popen.stdout as stdout:
            self.first_line = stdout.readline().decode(errors="replace").strip()
            self._has_first_line.set()
            while stdout.read(65536):
                pass

    def wait_for_first_line(self, seconds=PATIENCE):
        if not self._has_first_line.wait(seconds):
            raise AssertionError(f"{self.name} printed nothing within {seconds:.0f} s; {self.log()}")
        return self.first_line

    def is_running(self):
        return self.popen.poll() is None

    def signal(self, number):
        if self.is_running():
            self.popen.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.popen.wait(PATIENCE)

    def wait(self, seconds=PATIENCE):
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} has not ended within {seconds:.0f} s; {self.log()}") from None

    def terminate(self, seconds=PATIENCE):
        """SIGTERM; returns the exit code and the seconds that it took."""
        began = time.monotonic()
        self.signal(signal.SIGTERM)
        code = self.wait(seconds)
        return code, time.monotonic() - began

    def log(self, bytes_max=4000):
        with open(self.stderr_path, "rb") as file:
            return file.read()[-bytes_max:].decode(errors="replace")

    def open_files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


class Manager(Process):
    """`skep manager` or `skep up`, on a store directory."""

    def __init__(self, lab, command, directory, port, arguments, environment=None):
        self.directory = directory
        store = lab.store if "://" in lab.store else f"{lab.store}:{directory}"
        super().__init__(lab, command, [BIN, command, "--listen", f"127.0.0.1:{port}", "--store", store, *arguments],
                         environment)
        self.address = None

    def ready(self, seconds=PATIENCE):
        line = self.wait_for_first_line(seconds)
        if not line.startswith("listening on "):
            raise AssertionError(f"{self.name} did not come up: {line!r}; {self.log()}")
        self.address = line.split()[-1]
        return self

    def http(self, **kwargs):
        return self.lab.keep(Http(self.address, **kwargs))

    @property
    def url(self):
        return f"http://{self.address}"

    def children(self):
        """The pids of the worker processes that it started."""
        with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="ascii") as file:
            found = set(file.read().split())
        for thread in os.listdir(f"/proc/{self.pid}/task"):
            try:
                with open(f"/proc/{self.pid}/task/{thread}/children", encoding="ascii") as file:
                    found.update(file.read().split())
            except FileNotFoundError:
                pass  # the thread has ended
        return sorted(int(pid) for pid in found)


class Lab:
    """`store`: the engine of its managers, or the address of one that they share."""

    def __init__(self, parent=None, store="rocksdb"):
        self.store = store
        self.mark = f"TEST_LAB_OF_SKEP={uuid.uuid4()}"
        self.directory = tempfile.mkdtemp(prefix="skep-process-", dir=parent)
        self.processes = []
        self.connections = []
        atexit.register(self.close)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of atexit

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def environment(self, more=None):
        # No configuration of the person who runs the tests.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SKEP_")}
        name, _, value = self.mark.partition("=")
        return {**kept, name: value, **(more or {})}

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def manager(self, arguments=(), directory=None, port=0, command="manager", environment=None):
        manager = self.manager_not_ready(arguments, directory, port, command, environment)
        return manager.ready()

    def manager_not_ready(self, arguments=(), directory=None, port=0, command="manager", environment=None):
        return Manager(self, command, directory or self.path("store"), port, list(arguments), environment)

    def worker(self, manager, arguments=(), environment=None):
        url = manager.url if isinstance(manager, Manager) else manager
        return Process(self, "worker", [BIN, "worker", "--manager", url, *arguments], environment)

    def keep(self, http):
        """Closes `http` when the lab is closed."""
        self.connections.append(http)
        return http

    def run(self, *arguments, environment=None, stdin=None, seconds=PATIENCE):
        """Runs skep to its end. Gives code, stdout, stderr."""
        return subprocess.run([BIN, *arguments], input=stdin, capture_output=True, timeout=seconds,
                              stdin=None if stdin is not None else subprocess.DEVNULL,
                              env=self.environment(environment))

    def script(self, name, text):
        """An executable file, for tasks of kind command."""
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755)
        return path

    def survivors(self):
        """The pids of all processes that carry this lab's mark, whoever their parent is by now."""
        found = []
        for name in os.listdir("/proc"):
            if not name.isdigit() or int(name) == os.getpid():
                continue
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    is_ours = self.mark.encode() in file.read().split(b"\0")
                with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as file:
                    is_zombie = file.read().rpartition(")")[2].split()[0] == "Z"
            except OSError:
                continue
            if is_ours and not is_zombie:
                found.append(int(name))
        return found

    def close(self):
        atexit.unregister(self.close)
        self.stop_processes()
        shutil.rmtree(self.directory, ignore_errors=True)

    def stop_processes(self):
        for connection in self.connections:
            connection.close()
        for process in self.processes:
            process.signal(signal.SIGKILL)
        for pid in self.survivors():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for process in self.processes:
            process.popen.wait(PATIENCE)


class ProcessTest(unittest.TestCase):
    """A test with a lab. What its processes wrote is shown when it fails."""

    store = "rocksdb"

    def setUp(self):
        self.lab = Lab(store=self.store)
        self.addCleanup(self.lab.close)
        self.addCleanup(self._show_logs)  # before the lab is closed

    def _show_logs(self):
        result = self._outcome.result
        failed = [test for test, _ in getattr(result, "failures", []) + getattr(result, "errors", [])]
        if not any(test is self or getattr(test, "test_case", None) is self for test in failed):
            return
        for process in self.lab.processes:
            if not os.path.exists(process.stderr_path):
                continue
            sys.stderr.write(f"---- {' '.join(process.arguments[:2])} pid {process.pid}\n{process.log()}\n")

    # ---- what tests ask of a manager ----

    def enqueue(self, http, body, iterations=1, **params):
        headers = {}
        key = params.pop("key", None)
        if key is not None:
            headers["Idempotency-Key"] = key
        query = "&".join([f"iterations={iterations}"] + [f"{name}={value}" for name, value in params.items()])
        answer = http.post(f"/v1/tasks?{query}", body, headers=headers)
        self.assertEqual(answer.status, 200, answer)
        return answer.json()["id"]

    def enqueue_command(self, http, program, body=b"", **params):
        query = "&".join(["kind=command", f"program={program}"] +
                         [f"{name}={value}" for name, value in params.items()])
        answer = http.post(f"/v1/tasks?{query}", body)
        self.assertEqual(answer.status, 200, answer)
        return answer.json()["id"]

    def task(self, http, task):
        answer = http.get(f"/v1/tasks/{task}")
        self.assertEqual(answer.status, 200, answer)
        return answer.json()

    def finished(self, http, task, seconds=PATIENCE):
        """The task once it is done, dead or cancelled."""
        deadline = time.monotonic() + seconds
        while True:
            answer = http.get(f"/v1/tasks/{task}?wait=5s")
            self.assertEqual(answer.status, 200, answer)
            seen = answer.json()
            if seen["state"] in ("done", "dead", "cancelled"):
                return seen
            self.assertLess(time.monotonic(), deadline, f"task {task} is not finished: {seen}")

    def assert_problem(self, answer, status, code=None):
        """An error of this API: the right status, problem+json, and a sentence for people."""
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json", answer)
        problem = answer.json()
        self.assertEqual(problem["status"], status)
        self.assertTrue(problem["title"])
        self.assertGreater(len(problem["detail"]), 8, problem)
        if code is not None:
            self.assertEqual(problem["code"], code, problem)
        if status in (429, 503):
            self.assertTrue(answer.headers["Retry-After"], answer)
        return problem

    def workers(self, http):
        return http.get("/v1/workers").json().get("workers", [])

    def active_workers(self, http):
        return [worker for worker in self.workers(http) if worker["state"] == "active"]
