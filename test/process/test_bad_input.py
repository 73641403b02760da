# SPDX-License-Identifier: Apache-2.0
"""Bad input of every kind: each is answered by one clear error of the API, and the manager serves on."""
import json
import os
import resource
import socket
import time
import unittest

from harness import ProcessTest, reference, wait_until

BODY_BYTES_MAX = 1 << 20
REQUEST_BYTES_MAX = 33 << 20
HEADER_BYTES_MAX = 16 << 10


class BadInput(ProcessTest):
    def setUp(self):
        super().setUp()
        self.manager = self.lab.manager()
        self.http = self.manager.http()
        self.assertEqual(self.http.get("/healthz").status, 200)
        self.addCleanup(self.assert_still_serves)

    def assert_still_serves(self):
        """Whatever a test sent: the manager is there, has not leaked, and does its work."""
        self.assertTrue(self.manager.is_running(), self.manager.log())
        http = self.manager.http()
        self.lab.worker(self.manager)
        task = self.enqueue(http, b"still serves", 3)
        self.assertEqual(self.finished(http, task)["result"], reference(b"still serves", 3))
        self.assertNotIn("abort", self.manager.log(100_000))

    def connect(self):
        host, _, port = self.manager.address.rpartition(":")
        connection = socket.create_connection((host, int(port)), timeout=45)
        self.addCleanup(connection.close)
        return connection

    def raw(self, data):
        """Sends bytes as they are; gives all that comes back until the server closes or has answered."""
        connection = self.connect()
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused while it was sent: the answer tells why
        received = b""
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except OSError:
            pass
        return received

    def assert_raw_problem(self, data, status):
        received = self.raw(data)
        head, _, body = received.partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 %d " % status), f"{data[:80]!r}: {received[:300]!r}")
        self.assertIn(b"application/problem+json", head, received[:300])
        problem = json.loads(body)
        self.assertEqual(problem["status"], status)
        self.assertGreater(len(problem["detail"]), 8, problem)

    # ---- HTTP itself ----

    def test_what_is_no_http_is_refused(self):
        cases = [
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(60), 400),  # TLS
            (b"hello\r\n\r\n", 400),
            (b"GET\r\n\r\n", 400),
            (b"GET /healthz HTTP/1.1\r\nno colon\r\n\r\n", 400),
            (b"GET /healthz HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n", 400),
            (b"GET /healthz HTTP/2.0\r\nHost: a\r\n\r\n", 505),
            (b"POST /v1/tasks?iterations=1 HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
            (b"POST /v1/tasks?iterations=1 HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
            (b"POST /v1/tasks?iterations=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
            (b"POST /v1/tasks?iterations=1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
            (b"POST /v1/tasks?iterations=1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
            (b"GET /" + b"a" * (HEADER_BYTES_MAX + 100) + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
            (b"GET /healthz HTTP/1.1\r\nX: " + b"a" * (HEADER_BYTES_MAX + 100) + b"\r\n\r\n", 431),
            (b"GET /healthz HTTP/1.1\r\n" + b"".join(b"H%d: v\r\n" % i for i in range(5000)) + b"\r\n", 431),
            (b"POST /v1/tasks?iterations=1 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
             % (REQUEST_BYTES_MAX + 1), 413),
            (b"POST /v1/tasks?iterations=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", None),
        ]
        for data, status in cases:
            with self.subTest(data[:70]):
                if status is None:
                    self.assertRegex(self.raw(data)[:20], rb"^HTTP/1.1 4\d\d ")
                else:
                    self.assert_raw_problem(data, status)

    def test_smuggling_is_refused(self):
        both = (b"POST /v1/tasks?iterations=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        self.assert_raw_problem(both, 400)

    def test_a_body_that_breaks_off_enqueues_nothing(self):
        for data in (b"POST /v1/tasks?iterations=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nonly this",
                     b"POST /v1/tasks?iterations=1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
                     b"PUT /enqueue?iterations=1 HTTP/1.1\r\nHost: a\r\nContent-Len"):
            received = self.raw(data)
            self.assertFalse(received.startswith(b"HTTP/1.1 2"), received[:200])
        self.assertEqual(self.http.get("/v1/tasks").json().get("tasks", []), [])

    def test_pipelined_requests_are_answered_in_order(self):
        get = b"GET /v1/tasks/%d HTTP/1.1\r\nHost: a\r\n\r\n"
        connection = self.connect()
        connection.sendall(b"".join(get % i for i in range(50)) +
                           b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        self.assertEqual(received.count(b"HTTP/1.1 400 "), 50)
        self.assertEqual(received.count(b"HTTP/1.1 200 "), 1)
        self.assertLess(received.rindex(b"HTTP/1.1 400"), received.index(b"HTTP/1.1 200"))

    def test_a_request_that_comes_too_slowly_is_given_up(self):
        """30 s for a request to arrive: a byte now and then does not extend it."""
        connection = self.connect()
        began = time.monotonic()
        received = b""
        for byte in b"GET /healthz HTTP/1.1\r\nX-Slow: " + b"x" * 200:
            try:
                connection.sendall(bytes([byte]))
                connection.settimeout(0.5)  # the pace of the slow client
                received += connection.recv(65536)
                break
            except TimeoutError:
                self.assertLess(time.monotonic() - began, 60, "a slow request is kept for ever")
            except OSError:
                break
        self.assertTrue(received == b"" or received.startswith(b"HTTP/1.1 408 "), received[:100])
        self.assertGreater(time.monotonic() - began, 25)

    # ---- the API ----

    def test_what_is_not_there(self):
        self.assert_problem(self.http.get("/nothing"), 404, "not_found")
        self.assert_problem(self.http.get("/v1/tasks/00000g00000000000001"), 404, "not_found")
        self.assert_problem(self.http.get("/v1/tasks/00000g00000000000001/result"), 404, "not_found")
        self.assert_problem(self.http.delete("/v1/tasks/00000g00000000000001"), 404, "not_found")
        self.assert_problem(self.http.post("/v1/tasks/00000g00000000000001:retry"), 404, "not_found")
        self.assert_problem(self.http.post("/v1/workers/w9:drain"), 404, "not_found")
        self.assert_problem(self.http.delete("/v1/workers/w9"), 404, "not_found")
        self.assert_problem(self.http.post("/v1/workers/w9:heartbeat", {}), 404, "not_found")
        self.assert_problem(self.http.post("/v1/leases:acquire", {"worker": "w9", "max": 1}), 404, "not_found")
        # of a life before: its epoch is not this one's
        self.assert_problem(self.http.post("/v1/results:ack", {"receipt": "999.0.1"}), 404, "not_found")

    def test_wrong_methods_say_which_are_right(self):
        for method, path, allowed in [("GET", "/enqueue?iterations=1", "PUT"), ("PUT", "/v1/tasks", "POST"),
                                      ("POST", "/healthz", "GET"), ("PATCH", "/v1/cluster", "GET"),
                                      ("DELETE", "/getwork", "GET"), ("BREW", "/healthz", "GET")]:
            answer = self.http.request(method, path)
            if method == "BREW" and answer.status == 501:
                continue
            self.assert_problem(answer, 405)
            self.assertIn(allowed, answer.headers["Allow"])

    def test_bad_parameters_are_named(self):
        tasks = "/v1/tasks?iterations=1"
        for path, named in [
                ("/v1/tasks", "iterations"), ("/v1/tasks?iterations=0", "iterations"),
                ("/v1/tasks?iterations=-1", "iterations"), ("/v1/tasks?iterations=1.5", "iterations"),
                ("/v1/tasks?iterations=9007199254740993", "iterations"), ("/v1/tasks?iterations=", "iterations"),
                ("/v1/tasks?iterations=1e3", "iterations"), (f"{tasks}&colour=blue", "colour"),
                (f"{tasks}&priority=10", "priority"), (f"{tasks}&priority=high", "priority"),
                (f"{tasks}&max_attempts=0", "max_attempts"), (f"{tasks}&max_attempts=101", "max_attempts"),
                (f"{tasks}&delay=soon", "delay"), (f"{tasks}&delay=-1s", "delay"), (f"{tasks}&delay=10", "delay"),
                (f"{tasks}&delay=99999d", "delay"), (f"{tasks}&timeout=1y", "timeout"),
                (f"{tasks}&queue=Not%20a%20name", "queue"), (f"{tasks}&queue={'q' * 65}", "queue"),
                (f"{tasks}&kind=md5", "kind"), (f"{tasks}&tag={'t' * 65}", "tag"),
                (f"{tasks}&" + "&".join(f"tag=t{i}" for i in range(17)), "tag"),
                ("/v1/tasks?kind=command&program=..%2Fsh", "program"), ("/v1/tasks?kind=command", "program")]:
            with self.subTest(path):
                problem = self.assert_problem(self.http.post(path, b"body"), 400, "invalid")
                self.assertIn(named, problem["detail"])
        for path, named in [("/v1/tasks?state=lost", "state"), ("/v1/tasks?limit=0", "limit"),
                            ("/v1/tasks?cursor=!", "!"), ("/v1/tasks?limit=1001", "limit"),
                            ("/v1/scaling?limit=x", "limit"), ("/healthz?x=1", "x"),
                            ("/v1/tasks/00000g00000000000001?wait=6m", "wait"),
                            ("/v1/tasks/not-an-id", "not-an-id")]:
            with self.subTest(path):
                problem = self.assert_problem(self.http.get(path), 400, "invalid")
                self.assertIn(named, problem["detail"])
        self.assert_problem(self.http.post("/v1/results:pull?max=0"), 400, "invalid")
        key = {"Idempotency-Key": "k" * 129}
        self.assert_problem(self.http.post(tasks, b"x", headers=key), 400, "invalid")
        self.assert_problem(self.http.get("/v1/tasks/%zz"), 400)

    def test_bad_messages_are_refused(self):
        endpoints = ["/v1/tasks:batch", "/v1/results:ack", "/v1/workers", "/v1/leases:acquire", "/v1/leases:complete",
                     "/v1/leases:release", "/v1/workers/w1:heartbeat"]
        bodies = [b"", b"{", b"[]", b"null", b"42", b'{"unknown": 1}', b"\xff\xfe", b"{" * 10_000, b"[" * 100_000,
                  b'{"tasks": 7}', b'{"worker": {}}', b'{"a":1}{"b":2}', b'{"max": 1e400}']
        for endpoint in endpoints:
            for body in bodies:
                answer = self.http.post(endpoint, body)
                # An empty body or an empty message may be right for some; nothing may be a 5xx.
                self.assertIn(answer.status, (400, 404), f"{endpoint} {body[:30]!r}: {answer}")
                self.assert_problem(answer, answer.status)
            for body in (b"\xff" * 10, b"\x0a\xff\xff\xff\xff\x0f", os.urandom(1000), b"\x08" * 1000):
                answer = self.http.post(endpoint, body, headers={"Content-Type": "application/x-protobuf"})
                self.assertIn(answer.status, (200, 400, 404), f"{endpoint} protobuf {body[:30]!r}: {answer}")
        for message in ({"tasks": []}, {"tasks": [{}] * 1001}, {"tasks": [{"options": {"iterations": -1}}]},
                        {"tasks": [{"options": {"iterations": 1}, "body_base64": "!"}]},
                        {"tasks": [{"options": {"iterations": 1, "priority": 10}}]},
                        {"tasks": [{"options": {"iterations": 1}}, {"options": {}}]}):
            self.assert_problem(self.http.post("/v1/tasks:batch", message), 400, "invalid")
        self.assertEqual(self.http.get("/v1/tasks").json().get("tasks", []), [], "all or none")

    def test_bad_messages_of_workers_change_nothing(self):
        worker = self.http.post("/v1/workers", {"name": "bad", "slots": 1, "kinds": ["sha512"]}).json()["worker"]
        task = self.enqueue(self.http, b"victim", 1)
        (lease,) = self.http.post("/v1/leases:acquire", {"worker": worker, "max": 1}).json()["leases"]
        outcomes = [{"lease": "nonsense", "result": "x"}, {"lease": "", "result": "x"},
                    {"lease": task + ".1.999", "result": "x"}, {"lease": "00000g00000000000009.1.1", "failed": True}]
        answer = self.http.post("/v1/leases:complete", {"worker": worker, "outcomes": outcomes})
        self.assertEqual(answer.status, 200, answer)
        self.assertNotIn("ok", [outcome["status"] for outcome in answer.json()["outcomes"]])
        self.assertEqual(self.task(self.http, task)["state"], "leased")
        answer = self.http.post(f"/v1/workers/{worker}:heartbeat", {"leases": [{"lease": "nonsense"}]})
        self.assertEqual(answer.json()["lost"], ["nonsense"])
        result = reference(b"victim", 1)
        done = {"worker": worker, "outcomes": [{"lease": lease["lease"], "result": result}]}
        for _ in range(2):  # again is a success
            self.assertEqual(self.http.post("/v1/leases:complete", done).json()["outcomes"][0]["status"], "ok")
        self.assertEqual(self.task(self.http, task)["result"], result)

    def test_sizes(self):
        exact = self.http.post("/v1/tasks?iterations=1", b"x" * BODY_BYTES_MAX)
        self.assertEqual(exact.status, 200, exact)
        self.assert_problem(self.http.post("/v1/tasks?iterations=1", b"x" * (BODY_BYTES_MAX + 1)), 413)
        self.assert_problem(self.http.put("/enqueue?iterations=1", b"x" * (BODY_BYTES_MAX + 1)), 413)
        self.assertEqual(self.http.put("/enqueue?iterations=1", b"").status, 200)
        answer = self.http.request("GET", "/healthz", body=b"unexpected")
        self.assert_problem(answer, 400, "invalid")

    def test_bad_input_of_the_seeds_protocol(self):
        for path in ("/enqueue", "/enqueue?iterations=0", "/enqueue?iterations=abc", "/enqueue?iterations=1&x=2"):
            self.assert_problem(self.http.put(path, b"x"), 400, "invalid")
        for path in ("/pullCompleted", "/pullCompleted?top=0", "/pullCompleted?top=-1", "/pullCompleted?top=x",
                     "/register_sibling", "/register_sibling?sibling=", "/register_sibling?sibling=http%3A%2F%2F%2F"):
            self.assert_problem(self.http.post(path), 400, "invalid")
        for body in (b"", b"{}", b"[]", b'{"result": 7}', b'{"result": "short"}', b'{"result": "%s"}' % (b"g" * 128)):
            self.assert_problem(self.http.post("/pushResult", body), 400, "invalid")
        self.assert_problem(self.http.post("/pushResult", b'{"result": "%s"}' % (b"0" * 128)), 404, "not_found")

    # ---- too much of it ----

    def test_connections_that_come_and_go_leave_nothing_behind(self):
        before = self.manager.open_files()
        for i in range(500):
            connection = self.connect()
            if i % 3 == 1:
                connection.sendall(b"GET /hea")
            if i % 3 == 2:
                connection.sendall(b"GET /v1/events HTTP/1.1\r\nHost: a\r\n\r\n")
            connection.close()
        wait_until(lambda: self.manager.open_files() <= before, "the descriptors are closed")

    def test_more_connections_than_the_system_allows(self):
        """With few descriptors the manager turns some away and serves again once there are fewer."""
        soft = self.manager.open_files() + 60
        resource.prlimit(self.manager.pid, resource.RLIMIT_NOFILE, (soft, soft))
        held = []
        for _ in range(150):
            try:
                held.append(self.connect())
            except OSError:
                break
        # The one that was there before is served on.
        self.assertEqual(self.http.get("/healthz").status, 200)
        for connection in held:
            connection.close()
        wait_until(self.serves, "it serves again")

    def serves(self):
        http = self.manager.http(timeout=2)
        try:
            return http.get("/healthz").status == 200
        except Exception:  # turned away
            return False
        finally:
            http.close()

    def test_thousands_of_connections(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        count = min(3000, hard - 200)
        resource.setrlimit(resource.RLIMIT_NOFILE, (count + 200, hard))
        held = [self.connect() for _ in range(count)]
        for connection in held:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        for connection in held:
            self.assertTrue(connection.recv(65536).startswith(b"HTTP/1.1 200 "))
        for connection in held:
            connection.close()

    def test_queues_have_a_limit(self):
        self.enqueue(self.http, b"makes the default queue")
        tasks = [{"options": {"iterations": 1, "queue": f"queue{i}"}} for i in range(999)]
        answer = self.http.post("/v1/tasks:batch", {"tasks": tasks})
        self.assertEqual(answer.status, 200, answer)
        self.assert_problem(self.http.post("/v1/tasks?iterations=1&queue=onemore", b"x"), 429, "exhausted")
        self.assertEqual(self.http.request("PATCH", "/v1/queues/queue1", b'{"max_depth": 1}').status, 200)
        self.assert_problem(self.http.post("/v1/tasks?iterations=1&queue=queue1", b"x"), 429, "exhausted")
        self.assert_problem(self.http.request("PATCH", "/v1/queues/queue1", b'{"max_depth": "x"}'), 400, "invalid")
        self.assert_problem(self.http.request("PATCH", "/v1/queues/No!", b'{"paused": true}'), 400, "invalid")


if __name__ == "__main__":
    unittest.main(verbosity=2)
