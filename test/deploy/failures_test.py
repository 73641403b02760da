#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: none of the failures that the original's authors list is left, one test for each.

Method: each test makes the failure happen twice against the fault server: to what has no remedy (the original's script,
or skep where its remedy can not act), which fails as it is listed; and to skep as it is, which does not.
"""
import json
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../aws"), os.path.join(HERE, "../ec2")]

from botocore.exceptions import ClientError, EndpointConnectionError, HTTPClientError  # noqa: E402
from deploying import MAKES, DeployTest, made_by, steps  # noqa: E402
from fault_server import FaultServer  # noqa: E402
from hive import Hive  # noqa: E402
from original import Original  # noqa: E402
from harness import BIN, PATIENCE, ProcessTest, wait_until  # noqa: E402

DELETES = ("TerminateInstances", "DeleteLaunchTemplate", "DeleteVolume", "DeleteParameter", "DeleteObject", "DeleteBucket",
           "RemoveRoleFromInstanceProfile", "DeleteInstanceProfile", "DeleteRolePolicy", "DeleteRole", "DeleteSecurityGroup")


class Deploying(DeployTest):
    def original(self, server=None, region=None, image=None, seed=None):
        server = server or self.server
        return Original(server, region or server.region, image or server.image(), seed)

    def fails(self, act, code):
        with self.assertRaises(ClientError) as raised:
            act()
        self.assertEqual(raised.exception.response["Error"]["Code"], code)

    def test_1_region_and_image_are_not_fixed(self):
        there = FaultServer(self.lab, ["--no-machines", "--rate", "60"], region="ap-southeast-2")
        self.fails(self.original(there, region=self.server.region).deploy, "SignatureDoesNotMatch")
        self.fails(self.original(there, image=self.server.image()).deploy, "InvalidAMIID.NotFound")
        there.control("DELETE", "requests")
        told = self.refused(*self.arguments("up", "--image", self.server.image()), code=2, server=there)
        self.assertIn("InvalidAMIID.NotFound", told)
        for server, more in ((self.server, []), (there, ["--region", there.region])):
            self.skep("up", *more, server=server)
            images = [one["params"]["ImageId"] for one in server.control("GET", "requests")
                      if one.get("operation") == "RunInstances" and one["status"] == 200]
            self.assertEqual(images, [server.image()] * 2)
        self.assertNotEqual(self.server.image(), there.image())
        self.assertEqual(there.violations(), [])

    def test_2_an_instance_profile_is_waited_for_as_long_as_it_takes(self):
        self.server.control("POST", "settings", {"profile_seconds": 150})
        self.fails(self.original().deploy, "InvalidParameterValue")
        self.assertEqual(self.server.state("instances"), {})
        self.server.control("DELETE", "requests")
        self.skep("up")
        codes = [one.get("code") for one in self.requests("RunInstances")]
        self.assertIn("InvalidParameterValue", codes, "EC2 did not know the profile yet")
        self.assertEqual(codes.count(None), 2)
        self.assertEqual(len(self.instances("manager")), 2)

    def test_3_every_call_is_made_again(self):
        """Each call that changes something is throttled once, lost once, and once its answer is lost or says nothing."""
        def trouble(operations):
            for index, operation in enumerate(operations):
                self.server.fault("error", operation=operation, count=1, code="RequestLimitExceeded", status=503)
                self.server.fault("drop", operation=operation, count=1)
                if index % 2:
                    self.server.fault("drop", operation=operation, count=1, after=True)
                else:
                    self.server.fault("error", operation=operation, count=1, after=True, code="InternalError", status=500)

        self.server.fault("error", operation="CreateRole", code="InternalFailure", status=500, count=1)
        self.fails(self.original().deploy, "InternalFailure")
        self.server.fault("drop", operation="CreateRole", count=1)
        with self.assertRaises((EndpointConnectionError, HTTPClientError)):
            self.original().deploy()
        trouble(MAKES)
        self.skep("up", "--wait")
        self.counts(**made_by(2))
        trouble(DELETES)
        self.skep("down", "--delete-data")
        self.counts()
        left = [rule for rule in self.server.control("GET", "faults")["rules"] if rule["count"]]
        self.assertEqual(left, [], "all of it has happened")

    def test_4_its_roles_may_do_what_they_need_and_nothing_else(self):
        original = self.original()
        original.deploy()
        self.assertEqual(list(self.server.state("roles")[original.name]["attached"].values()), ["AmazonEC2FullAccess"])
        managers = self.skep("up", "--wait")[-1]["managers"]
        roles = {name: one for name, one in self.server.state("roles").items() if name.startswith("skep-")}
        self.assertEqual(len(roles), 2)
        for role in roles.values():
            self.assertEqual((role["attached"], list(role["policies"])), ({}, ["skep"]))
            for statement in json.loads(role["policies"]["skep"])["Statement"]:
                broad = statement["Resource"] == ["*"]
                self.assertFalse(any("*" in action or (broad and "Describe" not in action) for action in statement["Action"]))
        # The policy is what lets a manager start workers: without it none comes, and the next `up` puts it back.
        self.server.client("iam").delete_role_policy(RoleName="skep-prod-eu-central-1-manager", PolicyName="skep")
        http, client = self.http(managers[0]), self.headers("client")
        self.assertEqual(http.put("/enqueue?iterations=7", b"not yet", headers=client).status, 200)
        wait_until(lambda: self.server.control("GET", "denied"), "the manager is told that it may not")
        self.assertEqual(self.instances("worker"), {})
        self.assertEqual(steps(self.skep("up")), ["put the policy of role skep-prod-eu-central-1-manager"])
        wait_until(lambda: http.post("/pullCompleted?top=1", headers=client).json()["results"], "a result", 3 * PATIENCE)
        self.may_not(managers[0]["instance"], original.ec2)
        self.server.control("DELETE", "requests")

    def may_not(self, manager, owner):
        """What keys that were stolen from a manager or a worker are no good for."""
        foreign = owner.run_instances(ImageId=self.server.image(), InstanceType="t3.micro", MinCount=1, MaxCount=1)
        foreign = foreign["Instances"][0]["InstanceId"]
        self.server.advance(30)  # until it is shown
        worker = wait_until(lambda: next(iter(self.instances("worker")), None), "a worker")
        for thief in (manager, worker):
            keys = self.server.keys_of(thief)
            ec2, ssm = self.server.client("ec2", **keys), self.server.client("ssm", **keys)
            self.fails(lambda: ec2.terminate_instances(InstanceIds=[foreign]), "UnauthorizedOperation")
            self.fails(lambda: ec2.run_instances(ImageId=self.server.image(), InstanceType="t3.micro", MinCount=1, MaxCount=1),
                       "UnauthorizedOperation")
            self.fails(lambda: ssm.get_parameter(Name="/skep/other/manager/admin-token"), "AccessDeniedException")
        self.fails(lambda: ssm.get_parameter(Name="/skep/prod/manager/admin-token"), "AccessDeniedException")

    def test_7_what_was_acknowledged_is_on_a_disk_that_outlives_its_machine(self):
        manager = self.skep("up", "--wait", "--managers", "1")[-1]["managers"][0]
        client = self.headers("client")
        task = self.http(manager).post("/v1/tasks?iterations=1&delay=1h", b"kept", headers=client).json()["id"]

        def replaced(expected):
            nonlocal manager
            self.server.control("POST", f"instances/{manager['instance']}", {"action": "vanish"})
            made = self.skep("up", "--wait", "--managers", "1")
            self.assertEqual(steps(made)[:len(expected)], expected)
            gone, manager = manager, made[-1]["managers"][0]
            self.assertNotEqual(manager["instance"], gone["instance"])
            self.assertEqual(manager["address"], gone["address"])
            return self.http(manager).get(f"/v1/tasks/{task}", headers=client)

        launched, attached = "launch manager skep-prod-manager-1", "attach volume of skep-prod-manager-1"
        self.assertEqual(replaced([launched, attached]).json()["state"], "delayed")
        # Without that disk it is as the original: all is gone with the machine.
        self.server.control("POST", f"instances/{manager['instance']}", {"action": "vanish"})
        for ident, volume in self.server.state("volumes").items():
            if volume["tags"].get("skep:role") == "store":
                self.server.wait_for(lambda: self.server.state("volumes")[ident]["state"] == "available", "it is free")
                self.server.client("ec2").delete_volume(VolumeId=ident)
        self.assertEqual(replaced([launched, "create volume of skep-prod-manager-1", attached]).status, 404)

    def test_8_names_follow_from_the_cluster_and_do_not_collide(self):
        self.original(seed=3).deploy()
        self.fails(self.original(seed=3).deploy, "EntityAlreadyExists")
        first = self.server.control("GET", "counts")
        self.skep("up")
        one = {kind: count - first[kind] for kind, count in self.server.control("GET", "counts").items()}
        # A second cluster, by two people at once.
        both = [subprocess.Popen([BIN, *self.arguments("up", name="other")], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 env=self.lab.environment(self.server.environment())) for _ in range(2)]
        for process in both:
            out, problem = process.communicate(timeout=3 * PATIENCE)
            self.assertEqual(process.returncode, 0, f"{out.decode()}{problem.decode()}")
        self.assertEqual(self.server.control("GET", "counts"), {kind: count + 2 * one[kind] for kind, count in first.items()})
        self.assertEqual(steps(self.skep("up")), [])
        self.assertEqual(steps(self.skep("up", name="other")), [])


class Running(ProcessTest):
    """Two clusters in one account that differ in the remedy alone."""

    def setUp(self):
        super().setUp()
        self.server = FaultServer(self.lab, ["--rate", "20"])

    def hives(self, with_remedy, without, workers, **more):
        made = []
        for name, options in (("with", with_remedy), ("without", without)):
            hive = Hive(self.lab, self.server, name, "c5.large", workers_max=workers, **options, **more)
            hive.start()
            hive.wanted = hive.enqueue(12, hashes=2)
            made.append(hive)
        for hive in made:
            wait_until(lambda: hive.done() > 0, f"{hive.name}: results come in")
        return made

    def test_5_a_crashed_worker_frees_its_place_and_its_task_is_done_by_another(self):
        noticed, unnoticed = self.hives({}, {"worker_timeout": "1h", "lease": "1h"}, workers=1)
        hung = {}
        for hive in (noticed, unnoticed):
            ident = next(iter(hive.instances(("running",))))
            self.server.control("POST", f"instances/{ident}", {"action": "hang"})
            hung[hive.name] = ident

        def all_done():
            self.assertLessEqual(len(noticed.instances()), 1, "never more than it may have")
            return noticed.done() == len(noticed.wanted)

        wait_until(all_done, "all is computed though the only worker hung", 90)
        self.assertEqual(noticed.wrong(noticed.wanted), {})
        self.assertGreater(len(noticed.instances(None)), 1)
        # The same without the remedy: EC2 says that it runs, so it keeps its place, and its task with it.
        self.assertEqual(list(unnoticed.instances(None)), [hung["without"]])
        self.assertLess(unnoticed.done(), len(unnoticed.wanted))

    def test_6_a_crashed_manager_has_its_queue_and_results_and_its_workers_do_not_live_on(self):
        ending, staying = self.hives({"orphan_timeout": "3s"}, {"orphan_timeout": "10m"}, workers=2, piece=1.0)
        done = {}
        for hive in (ending, staying):
            done[hive.name] = hive.done()
            hive.managers[0].kill()
        before = set(staying.instances())
        wait_until(lambda: not ending.instances(), "its workers' machines have ended by themselves", 60)
        reasons = {one["reason"] for one in ending.instances(None).values()}
        self.assertEqual(reasons, {"Client.InstanceInitiatedShutdown"})
        self.assertEqual(set(staying.instances()), before, "without the remedy they go on until somebody ends them")
        # Back on its store it has everything; on an empty one, as the original always is, nothing.
        staying.start(directory=self.lab.path("empty"))
        self.assertEqual(staying.ask("/v1/cluster").get("tasks", {}).get("done", 0), 0)
        self.assertEqual(staying.http().get(f"/v1/tasks/{next(iter(staying.wanted))}").status, 404)
        ending.start()
        self.assertGreaterEqual(ending.done(), done["with"])
        wait_until(lambda: ending.done() == len(ending.wanted), "the rest is computed", 90)
        self.assertEqual(ending.wrong(ending.wanted), {})


if __name__ == "__main__":
    unittest.main(verbosity=2)
