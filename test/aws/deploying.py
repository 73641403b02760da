# SPDX-License-Identifier: Apache-2.0
"""deploying.py - what tests of `skep aws up` and `down` share: the command against a fault server, and what is there after it.

Threads: the test's thread.
"""
import json
import unittest

from fault_server import FaultServer
from harness import PATIENCE, Http, Lab, reference, wait_until

NOTHING = {"instances": 0, "volumes": 0, "security_groups": 0, "launch_templates": 0, "roles": 0, "instance_profiles": 0,
           "buckets": 0, "parameters": 0, "databases": 0, "snapshots": 0, "subnet_groups": 0}
MAKES = ("CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "CreateRole", "PutRolePolicy", "CreateInstanceProfile",
         "AddRoleToInstanceProfile", "CreateBucket", "PutBucketTagging", "PutObject", "PutParameter", "CreateLaunchTemplate",
         "RunInstances", "CreateVolume", "AttachVolume")


def made_by(managers):
    """What a cluster on volumes has once it is up: each machine has a disk of its own, and a manager one with data."""
    return {"instances": managers, "volumes": 2 * managers, "security_groups": 1, "launch_templates": 1, "roles": 2,
            "instance_profiles": 2, "buckets": 1, "parameters": 6}


def steps(lines, state="done"):
    return [line["step"] for line in lines if line.get("state") == state]


class DeployTest(unittest.TestCase):
    server_arguments = ("--rate", "60")

    def setUp(self):
        self.lab = Lab()
        self.addCleanup(self.lab.close)
        self.server = FaultServer(self.lab, self.server_arguments)
        self.package = self.lab.path("skep_1_amd64.deb")
        with open(self.package, "wb") as file:
            file.write(b"stands for a package")

    def tearDown(self):
        self.assertEqual(self.server.violations(), [])
        self.assertEqual(self.server.control("GET", "denied"), [])

    # ---- the command ----

    def arguments(self, action, *more, name="prod"):
        if action == "up":
            workers = () if "--max-workers" in more else ("--max-workers", "4")
            more = ("--package", self.package, "--allow-cidr", "127.0.0.0/8", *workers, *more)
        return ("aws", action, "--name", name, "--json", *more)

    def skep(self, action, *more, name="prod", code=0, server=None):
        """Runs it; the objects that it printed."""
        done = self.lab.run(*self.arguments(action, *more, name=name), environment=(server or self.server).environment(),
                            seconds=3 * PATIENCE)
        self.assertEqual(done.returncode, code, f"{done.stdout.decode()}\n{done.stderr.decode()}\n{self.consoles()}")
        return [json.loads(line) for line in done.stdout.decode().splitlines()]

    def refused(self, *arguments, code, server=None):
        """Runs skep, which refuses with that code; its one sentence."""
        done = self.lab.run(*arguments, environment=(server or self.server).environment())
        self.assertEqual(done.returncode, code, done)
        self.assertEqual(len(done.stderr.decode().splitlines()), 1, done)
        return done.stderr.decode()

    # ---- AWS's side ----

    def consoles(self):
        return "\n".join(self.server.control("GET", "console/" + ident)["console"][-3000:]
                         for ident in self.server.state("instances"))

    def counts(self, **others):
        self.assertEqual(self.server.control("GET", "counts"), {**NOTHING, **others})

    def requests(self, operation):
        return [one for one in self.server.control("GET", "requests") if one.get("operation") == operation]

    def instances(self, role):
        """Those that are not about to end. id -> what the server tells."""
        return {ident: one for ident, one in self.server.state("instances").items()
                if one["tags"].get("skep:role") == role and one["state"] in ("pending", "running")}

    # ---- the managers' side ----

    def token(self, role, name="prod"):
        parameter = f"/skep/{name}/" + ("worker/token" if role == "worker" else f"manager/{role}-token")
        return self.server.client("ssm").get_parameter(Name=parameter, WithDecryption=True)["Parameter"]["Value"]

    def headers(self, role):
        return {"Authorization": "Bearer " + self.token(role)}

    def http(self, manager):
        return self.lab.keep(Http(manager["address"]))

    def computes(self, manager, body):
        """By workers that managers start at EC2, as far as their role lets them."""
        http, client = self.http(manager), self.headers("client")
        self.assertEqual(http.put("/enqueue?iterations=7", body, headers=client).json()["status"], "success")
        pulled = wait_until(lambda: http.post("/pullCompleted?top=1", headers=client).json()["results"], "a result", 3 * PATIENCE)
        self.assertEqual(pulled, [reference(body, 7)])
        self.assertTrue(self.instances("worker"))
