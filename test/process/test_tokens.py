# SPDX-License-Identifier: Apache-2.0
"""Tokens: every route with every role, revocation without a restart, rotation, and no token where it could be read."""
import json
import os
import subprocess
import threading
import time
import unittest

from harness import BIN, PATIENCE, Http, ProcessTest, QUICK, Process, wait_until

ROLES = ("viewer", "client", "worker", "sibling", "admin")
EXIT_DENIED, EXIT_FORBIDDEN = 3, 14
REVOKED_WITHIN = 2.0

# Who may call what: V viewer, C client, W worker, S sibling, A admin; "" is everybody. Written by hand, from docs/security.md.
TABLE = {
    "PUT /enqueue?iterations=1": "CSA",
    "POST /pullCompleted?top=1": "CSA",
    "POST /register_sibling?sibling=127.0.0.1:9": "SA",
    "GET /get_managers": "VCWSA",
    "GET /getwork": "WSA",
    "POST /pushResult": "WSA",
    "POST /v1/tasks?iterations=1": "CSA",
    "POST /v1/tasks:batch": "CSA",
    "GET /v1/tasks": "VCSA",
    "GET /v1/tasks/00000g00000000000001": "VCSA",
    "GET /v1/tasks/00000g00000000000001/result": "CSA",
    "DELETE /v1/tasks/00000g00000000000001": "CSA",
    "POST /v1/tasks/00000g00000000000001:retry": "CSA",
    "POST /v1/results:pull": "CSA",
    "POST /v1/results:ack": "CSA",
    "POST /v1/workers": "WSA",
    "GET /v1/workers": "VCSA",
    "GET /v1/workers/w9": "VCSA",
    "POST /v1/workers/w9:heartbeat": "WSA",
    "POST /v1/workers/w9:drain": "SA",
    "POST /v1/workers/w9:lose": "SA",
    "DELETE /v1/workers/w9": "WSA",
    "POST /v1/leases:acquire": "WSA",
    "POST /v1/leases:complete": "WSA",
    "POST /v1/leases:release": "WSA",
    "GET /v1/cluster": "VCSA",
    "GET /v1/queues": "VCSA",
    "PATCH /v1/queues/default": "SA",
    "GET /v1/scaling": "VCSA",
    "POST /v1/scaling:share": "SA",
    "GET /v1/live": "VCSA",
    "GET /v1/events": "VCSA",
    "PUT /v1/scaling/order": "A",
    "DELETE /v1/scaling/order": "A",
    "GET /v1/cost": "VCSA",
    "GET /v1/decisions": "VCSA",
    "GET /v1/tokens": "A",
    "POST /v1/tokens": "A",
    "POST /v1/tokens/000000000000:rotate": "A",
    "DELETE /v1/tokens/000000000000": "A",
    "GET /metrics": "VCSA",
    "GET /healthz": "",
    "GET /readyz": "",
    "GET /openapi.json": "",
    "GET /": "",
}

STREAMS = ("/v1/live", "/v1/events")  # their answers do not end


def bearer(token):
    return {"Authorization": f"Bearer {token}"} if token else {}


class Tokens(ProcessTest):
    def skep(self, *arguments, code=0, environment=None):
        ended = self.lab.run(*arguments, environment=environment)
        self.assertEqual(ended.returncode, code, f"{arguments[:2]}: {ended.stderr.decode()}")
        return ended.stdout.decode().strip(), ended.stderr.decode()

    def spec(self):
        return f"{self.store}:{self.lab.path('store')}"

    def create(self, role, *more):
        """A token of the role, made on the store."""
        return self.skep("token", "create", "--role", role, "--store", self.spec(), *more)[0]

    def token_file(self, token, name="token"):
        path = self.lab.path(name)
        with open(path + ".new", "w", encoding="ascii") as file:
            file.write(token + "\n")
        os.chmod(path + ".new", 0o600)
        os.rename(path + ".new", path)
        return path

    def start(self, *arguments, command="manager"):
        self.manager = self.lab.manager([*QUICK, *arguments], command=command)
        self.http = self.manager.http()

    def status(self, call, token=None, http=None):
        """The status of a call; an answer that does not end is cut off after its head."""
        method, _, path = call.partition(" ")
        if path in STREAMS:
            return self.status_of_stream(path, token)
        return (http or self.http).request(method, path, body=b"{}" if method in ("POST", "PATCH", "PUT") else None,
                                           headers=bearer(token)).status

    def status_of_stream(self, path, token):
        arguments = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "0.3",
                     f"{self.manager.url}{path}"]
        if token:
            arguments += ["-H", "@-"]
        ended = subprocess.run(arguments, input=f"Authorization: Bearer {token}\n".encode() if token else b"",
                               capture_output=True, timeout=PATIENCE, check=False)
        return int(ended.stdout)


class EveryRoute(Tokens):
    def test_a_viewer_sees_all_but_what_was_computed(self):
        viewer, client, worker = (self.create(role) for role in ("viewer", "client", "worker"))
        self.start()
        task = self.http.post("/v1/tasks?iterations=2&tag=t", b"body", headers=bearer(client)).json()["id"]
        self.lab.worker(self.manager, environment={"SKEP_TOKEN": worker})
        def seen_by(token, query=""):
            return self.http.get(f"/v1/tasks/{task}{query}", headers=bearer(token)).json()
        wait_until(lambda: seen_by(client)["state"] == "done", "it is done")
        self.assertIn("result", seen_by(client))
        self.assertNotIn("result", seen_by(client, "?result=false"))
        for query in ("", "?wait=1s", "?result=true", "?result=false"):
            seen = seen_by(viewer, query)
            self.assertEqual((seen["state"], seen["options"]["tags"], seen["result_bytes"]), ("done", ["t"], 128), query)
            self.assertFalse({"result", "result_base64"} & set(seen), query)
        self.assertNotIn("result", self.http.get("/v1/tasks", headers=bearer(viewer)).json()["tasks"][0])
        self.assertEqual(self.http.get(f"/v1/tasks/{task}?result=1", headers=bearer(client)).status, 400)
        refused = self.http.get(f"/v1/tasks/{task}/result", headers=bearer(viewer))
        self.assertEqual(refused.status, 403)
        self.assertIn("role viewer; GET /v1/tasks/{id}/result is for client, sibling or admin", refused.json()["detail"])

    def test_every_route_with_every_role_with_none_with_an_expired_and_a_revoked_token(self):
        tokens = {role: self.create(role) for role in ROLES}
        expired = self.create("admin", "--expires", "1ms")
        revoked = self.create("admin")
        self.skep("token", "revoke", revoked.split("_")[1], "--store", self.spec())
        stranger = "skep_" + "0" * 12 + "_" + "0" * 64
        forged = tokens["admin"][:-1] + ("0" if tokens["admin"][-1] != "0" else "1")
        self.start()
        described = self.http.get("/openapi.json").json()["paths"]
        operations = {f"{method.upper()} {path}": operation for path, methods in described.items()
                      for method, operation in methods.items()}
        self.assertEqual(len(operations), len(TABLE), "the table of this test has every route")
        for call, roles in TABLE.items():
            with self.subTest(call):
                for role in ROLES:
                    is_allowed = not roles or role[0].upper() in roles
                    status = self.status(call, tokens[role])
                    self.assertEqual(status == 403, not is_allowed, f"{role}: {status}")
                    self.assertNotEqual(status, 401, role)
                for what, token in [("none", None), ("expired", expired), ("revoked", revoked), ("stranger", stranger),
                                    ("forged", forged), ("garbage", "x")]:
                    status = self.status(call, token)
                    self.assertEqual(status == 401, bool(roles), f"{what}: {status}")
        for operation in operations.values():
            self.assertIn("security", operation)

    def test_a_refusal_says_what_is_missing_and_nothing_of_the_token(self):
        token = self.create("worker")
        self.start()
        refused = self.http.get("/v1/tasks")
        self.assertIn("client, sibling or admin", self.assert_problem(refused, 401, "unauthenticated")["detail"])
        self.assertTrue(refused.headers["WWW-Authenticate"].startswith("Bearer"))
        forbidden = self.http.get("/v1/tasks", headers=bearer(token))
        detail = self.assert_problem(forbidden, 403, "forbidden")["detail"]
        self.assertIn(token.split("_")[1], detail)
        self.assertNotIn(token.split("_")[2], detail)
        for field in ("Basic c2VjcmV0OnNlY3JldA==", "Bearer", "Bearer  ", token, f"Bearer {token} {token}"):
            self.assertEqual(self.http.get("/v1/tasks", headers={"Authorization": field}).status, 401, field[:12])
        self.assertEqual(self.http.get("/getwork", headers={"Authorization": f"bearer   {token} "}).status, 204)

    def test_by_any_name_a_browser_gets_the_page_of_a_guarded_manager_alone(self):
        browser = {"Host": "queue.example:8080", "Accept-Language": "en", "User-Agent": "Mozilla/5.0"}
        self.start()
        self.assert_problem(self.http.get("/", headers=browser), 403, "forbidden")
        token = self.create("client")
        wait_until(lambda: self.http.get("/", headers=browser).status == 200, "the page, which asks for a token")
        self.assert_problem(self.http.get("/v1/tasks", headers=browser), 401, "unauthenticated")
        self.assertEqual(self.http.get("/v1/tasks", headers={**browser, **bearer(token)}).status, 200)


class Life(Tokens):
    def test_without_tokens_everybody_may_and_the_first_is_made_on_the_store(self):
        self.start()
        self.assertEqual(self.status("GET /v1/tasks"), 200)
        refused = self.http.post("/v1/tokens", {"role": "admin"})
        self.assertIn("--store", self.assert_problem(refused, 409, "conflict")["detail"])
        admin = self.create("admin")
        wait_until(lambda: self.status("GET /v1/tasks") == 401, "the manager knows of the token", REVOKED_WITHIN)
        self.assertEqual(self.status("GET /v1/tasks", admin), 200)
        # What is taken away later does not open the manager again.
        os.unlink(self.lab.path("store", "skep.tokens"))
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline:
            self.assertEqual(self.status("GET /v1/tasks"), 401)

    def test_tokens_are_made_listed_rotated_and_revoked_at_a_manager(self):
        file = self.lab.path("admin.token")
        self.skep("token", "create", "--role", "admin", "--store", self.spec(), "--out", file)
        self.assertEqual(os.stat(file).st_mode & 0o777, 0o600)
        self.start()
        at = ("--manager", self.manager.url, "--token-file", file)
        client, told = self.skep("token", "create", "--role", "client", "--name", "the web shop", "--expires", "1d", *at)
        self.assertIn("shown only now", told)
        self.assertEqual(self.status("GET /v1/tasks", client), 200)
        listed = json.loads(self.skep("token", "list", "--json", *at)[0])["tokens"]
        self.assertEqual([(token["role"], token["state"]) for token in listed], [("admin", "valid"), ("client", "valid")])
        self.assertEqual(listed[1]["expires_at_ms"] - listed[1]["created_at_ms"], 86_400_000)
        self.assertIn("the web shop", self.skep("token", "list", *at)[0])
        self.assertNotIn(client.split("_")[2], json.dumps(listed))
        fresh = self.skep("token", "rotate", listed[1]["id"], "--overlap", "1500ms", *at)[0]
        self.assertEqual((self.status("GET /v1/tasks", client), self.status("GET /v1/tasks", fresh)), (200, 200))
        wait_until(lambda: self.status("GET /v1/tasks", client) == 401, "the overlap ends")
        self.assertEqual(self.status("GET /v1/tasks", fresh), 200)
        self.skep("token", "revoke", fresh.split("_")[1], *at)
        self.assertEqual(self.status("GET /v1/tasks", fresh), 401, "at once, where it was revoked")
        states = [token["state"] for token in json.loads(self.skep("token", "list", "--json", *at)[0])["tokens"]]
        self.assertEqual(states, ["valid", "expired", "revoked"])
        self.skep("token", "revoke", "000000000000", *at, code=4)
        self.skep("token", "rotate", fresh.split("_")[1], *at, code=5)

    def test_a_revocation_on_the_store_reaches_a_running_manager_and_what_waits_there(self):
        client, worker = self.create("client"), self.create("worker")
        self.start()
        registered = self.http.post("/v1/workers", {"name": "w", "slots": 4, "kinds": ["sha512"]}, headers=bearer(worker))
        waiting = self.manager.http()
        waiting_answer = []
        body = {"worker": registered.json()["worker"], "max": 4, "wait_ms": 8000, "kinds": ["sha512"]}
        thread = threading.Thread(target=lambda: waiting_answer.append(
            waiting.post("/v1/leases:acquire", body, headers=bearer(worker))))
        thread.start()
        self.skep("token", "revoke", worker.split("_")[1], "--store", self.spec())
        began = time.monotonic()
        wait_until(lambda: self.status("GET /getwork", worker) == 401, "it is revoked")
        self.assertLess(time.monotonic() - began, REVOKED_WITHIN)
        task = self.http.post("/v1/tasks?iterations=1", b"x", headers=bearer(client)).json()["id"]
        thread.join(PATIENCE)
        self.assertFalse(waiting_answer[0].json().get("leases"), waiting_answer)
        state = self.http.get(f"/v1/tasks/{task}", headers=bearer(client)).json()["state"]
        self.assertEqual(state, "queued", "nobody who is revoked gets it")

    def test_a_new_token_counts_at_once(self):
        self.create("admin")
        self.start()
        for _ in range(5):
            self.assertEqual(self.status("GET /v1/tasks", self.create("client")), 200)

    def test_the_log_engine_keeps_them_too(self):
        self.lab.store = self.store = "log"
        token = self.create("client")
        self.start()
        self.assertEqual(self.status("GET /v1/tasks"), 401)
        self.assertEqual(self.status("GET /v1/tasks", token), 200)
        self.manager.kill()
        self.start()
        self.assertEqual(self.status("GET /v1/tasks"), 401)
        self.assertEqual(self.status("GET /v1/tasks", token), 200)


class Fleet(Tokens):
    def test_workers_that_are_started_need_no_care(self):
        token = self.create("client")
        self.start("--min-workers", "1", "--max-workers", "1", command="up")
        http = self.manager.http()
        task = http.post("/v1/tasks?iterations=5", b"x", headers=bearer(token)).json()["id"]
        seen = http.get(f"/v1/tasks/{task}?wait=30s", headers=bearer(token)).json()
        self.assertEqual(seen["state"], "done")

    def test_the_first_token_does_not_lock_out_the_workers_that_run(self):
        self.start("--min-workers", "1", "--max-workers", "1", command="up")
        wait_until(lambda: self.active_workers(self.http), "the worker is there")
        token = self.create("client")
        wait_until(lambda: self.status("GET /v1/tasks") == 401, "tokens are asked for")
        http = self.manager.http()
        task = http.post("/v1/tasks?iterations=5", b"x", headers=bearer(token)).json()["id"]
        self.assertEqual(http.get(f"/v1/tasks/{task}?wait=30s", headers=bearer(token)).json()["state"], "done")

    def test_a_worker_follows_its_file_and_keeps_its_results(self):
        client, first, second = self.create("client"), self.create("worker"), self.create("worker")
        self.start()
        file = self.token_file(first)
        worker = self.lab.worker(self.manager, ["--token-file", file])
        listed = lambda: self.http.get("/v1/workers", headers=bearer(client)).json().get("workers", [])
        wait_until(lambda: [seen for seen in listed() if seen["state"] == "active"], "it is registered")
        self.skep("token", "revoke", first.split("_")[1], "--store", self.spec())
        wait_until(lambda: "was revoked" in worker.log(), "it is told why")
        self.assertTrue(worker.is_running())
        self.token_file(second)
        task = self.http.post("/v1/tasks?iterations=5", b"x", headers=bearer(client)).json()["id"]
        seen = self.http.get(f"/v1/tasks/{task}?wait=30s", headers=bearer(client)).json()
        self.assertEqual(seen["state"], "done")

    def test_a_worker_that_was_never_let_in_ends_with_the_reason(self):
        client = self.create("client")
        self.start()
        for arguments, code in (([], EXIT_DENIED), (["--token-file", self.token_file(client)], EXIT_FORBIDDEN)):
            worker = self.lab.worker(self.manager, arguments)
            self.assertEqual(worker.wait(), code, worker.log())
            self.assertIn("role", worker.log())


class Addresses(Tokens):
    def test_an_address_that_others_reach_wants_a_token(self):
        refused = self.lab.run("manager", "--listen", "0.0.0.0:0", "--store", self.spec())
        self.assertEqual(refused.returncode, 2, refused)
        self.assertIn("skep token create", refused.stderr.decode())
        self.assertFalse(os.path.exists(self.lab.path("store")), "nothing was made")
        token = self.create("client")
        manager = Process(self.lab, "manager", [BIN, "manager", "--listen", "0.0.0.0:0", "--store", self.spec()])
        line = manager.wait_for_first_line()
        self.assertTrue(line.startswith("listening on 0.0.0.0:"), manager.log())
        self.assertIn("tokens go over the wire", manager.log())
        http = self.lab.keep(Http("127.0.0.1:" + line.rpartition(":")[2]))
        self.assertEqual(self.status("GET /v1/tasks", http=http), 401)
        self.assertEqual(self.status("GET /v1/tasks", token, http=http), 200)

    def test_seed_clients_need_none_from_their_addresses_for_their_calls_alone(self):
        self.create("admin")
        for network, is_let_in in (("127.0.0.0/8", True), ("10.0.0.0/8,192.168.1.0/24", False)):
            with self.subTest(network):
                self.start("--seed-clients", network)
                seed = {"PUT /enqueue?iterations=1", "POST /pullCompleted?top=1", "GET /get_managers", "GET /getwork",
                        "POST /pushResult"}
                for call, roles in TABLE.items():
                    expected = is_let_in and call in seed
                    self.assertEqual(self.status(call) == 401, bool(roles) and not expected, call)
                self.assertEqual(self.status("GET /getwork", "x"), 401, "a wrong token is worse than none")
                self.assertEqual(self.manager.terminate()[0], 0)
        bad = self.lab.run("manager", "--store", self.spec(), "--seed-clients", "10.0.0.0/40")
        self.assertEqual(bad.returncode, 2)
        self.assertIn("--seed-clients", bad.stderr.decode())


class Nowhere(Tokens):
    """A token is planted wherever one goes, and then looked for wherever it could be read."""

    def test_no_token_in_logs_titles_errors_files_or_answers(self):
        admin, worker = self.create("admin"), self.create("worker")
        wrong = "skep_" + "a" * 12 + "_" + "5" * 64
        secrets = [token.split("_")[2] for token in (admin, worker, wrong)]
        self.start("--log-level", "debug", "--worker-log-level", "debug", "--min-workers", "1", "--max-workers", "1",
                   command="up")
        by_file = self.lab.worker(self.manager, ["--log-level", "debug", "--token-file", self.token_file(worker)])
        by_variable = self.lab.worker(self.manager, ["--log-level", "debug"], {"SKEP_TOKEN": worker})
        said = []
        for token in (admin, worker, wrong, wrong + "x"):
            for call in TABLE:
                if call.endswith(STREAMS):
                    continue
                method, _, path = call.partition(" ")
                said.append(self.http.request(method, path, body=b"{" if method == "POST" else None,
                                              headers=bearer(token)).body)
        said.append(self.http.get(f"/v1/{wrong}", headers=bearer(wrong)).body.replace(wrong.encode(), b""))
        commands = [["status"], ["token", "list"], ["pull", "--json"], ["explain", "scaling"], ["get", "nothing"]]
        for command in commands:
            for token in (admin, worker, wrong, "no token"):
                ended = self.lab.run(*command, "--manager", self.manager.url, environment={"SKEP_TOKEN": token})
                said += [ended.stdout, ended.stderr]
        checked = self.lab.run("worker", "--check-config", environment={"SKEP_TOKEN": admin})
        said += [checked.stdout, checked.stderr]
        ended = self.lab.run("status", "--manager", f"http://{admin}@127.0.0.1:1")
        said += [ended.stdout, ended.stderr]
        wait_until(lambda: len([seen for seen in self.http.get("/v1/workers", headers=bearer(admin)).json()["workers"]
                                if seen["state"] == "active"]) == 3, "all three workers are there")
        processes = [self.manager.pid, by_file.pid, by_variable.pid, *self.manager.children()]
        for pid in processes:
            for name in ("cmdline", "comm", "environ"):
                with open(f"/proc/{pid}/{name}", "rb") as file:
                    said.append(file.read())
        for process in (self.manager, by_file, by_variable):
            process.terminate()
            said.append(process.log(1 << 20).encode())
        for folder, _, names in os.walk(self.lab.path("store")):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    said.append(file.read())
        for text in said:
            for secret in secrets:
                at = text.find(secret.encode())
                self.assertEqual(at, -1, text[max(0, at - 200):at + 100])
        self.assertTrue(any(b"token" in text for text in said))


if __name__ == "__main__":
    unittest.main(verbosity=2)
