# SPDX-License-Identifier: Apache-2.0
"""Goal: `skep aws up` makes a cluster that serves, whatever AWS does meanwhile and wherever it is cut off; `down` leaves nothing.

Method: the fault server, whose instances are real; managers are asked over their public addresses, with the tokens that
the parameters have. What is left is counted at the server.
"""
import json
import subprocess
import unittest

from deploying import DeployTest, made_by, steps
from harness import BIN, PATIENCE

LOOKS = ("Describe", "Get", "List", "Head")

class Cluster(DeployTest):
    def test_it_comes_up_serves_stays_as_it_is_and_goes(self):
        self.server.control("POST", "settings", {"throttle": 0.2, "policy_seconds": 10})
        planned = self.skep("up", "--dry-run")
        self.counts()
        made = self.skep("up", "--wait")
        self.assertEqual(steps(made)[:len(planned)], steps(planned, "planned"))
        managers = made[-1]["managers"]
        self.assertEqual([manager["slot"] for manager in managers], [1, 2])
        self.serves(managers)
        self.keeps_secrets(made)
        self.status(managers)
        self.changes_nothing()
        self.counts(**made_by(2))
        self.computes(managers[0], b"to the cloud")
        self.server.fault("error", operation="DeleteSecurityGroup", code="DependencyViolation", status=400, count=3)
        kept = self.skep("down")
        self.assertEqual(len([line for line in kept if "is kept" in line.get("note", "")]), 2, kept)
        self.counts(volumes=2)
        self.skep("down", "--delete-data")
        self.counts()
        self.assertIn("there is no cluster prod", self.skep("status", code=1)[0]["problems"][0])

    def serves(self, managers):
        zones = {one["zone"] for one in self.server.state("instances").values()}
        self.assertEqual(len(zones), 2)
        client = self.headers("client")
        addresses = {manager["private_address"] + ":8080" for manager in managers}
        for manager in managers:
            http = self.http(manager)
            self.assertEqual(http.get("/readyz").status, 200)
            self.assertEqual(http.get("/v1/cluster").status, 401)
            self.assertEqual(set(http.get("/get_managers", headers=client).json()["managers"]), addresses)

    def keeps_secrets(self, made):
        secrets = [self.token(role).rpartition("_")[2] for role in ("admin", "client", "worker", "sibling")]
        texts = [json.dumps(made), self.consoles()]
        for ident in self.server.state("instances"):
            attribute = self.server.client("ec2").describe_instance_attribute(InstanceId=ident, Attribute="userData")
            texts.append(attribute["UserData"]["Value"])
        for template in self.server.state("launch_templates").values():
            self.assertEqual(template["tags"]["skep:cluster"], "prod")
        for secret in secrets:
            self.assertFalse(any(secret in text for text in texts))
        for parameter in self.server.state("parameters").values():
            self.assertEqual((parameter["kind"], parameter["tags"]), ("SecureString", {"skep:cluster": "prod"}))

    def status(self, managers):
        told = self.skep("status")[0]
        self.assertEqual(told["problems"], [])
        self.assertEqual([(one["slot"], one["ready"], one["public_address"] + ":8080") for one in told["instances"]],
                         [(manager["slot"], "ready", manager["address"]) for manager in managers])
        self.assertEqual({one["instance"] for one in told["volumes"]}, {manager["instance"] for manager in managers})
        self.assertIsNone(told["database"])
        self.assertAlmostEqual(sum(one["dollars_hour"] for one in told["costs"]), told["dollars_hour"])
        self.assertGreater(told["dollars_hour"], 2 * 0.09)
        shown = self.lab.run("aws", "status", "--name", "prod", environment=self.server.environment())
        self.assertEqual(shown.returncode, 0, shown)
        self.assertRegex(shown.stdout.decode(), r"manager 1 +running +c6i.large +eu-central-1a +[0-9.]+ +ready")
        self.server.client("iam").remove_role_from_instance_profile(
            InstanceProfileName="skep-prod-eu-central-1-worker", RoleName="skep-prod-eu-central-1-worker")
        self.assertIn("the role of workers", " ".join(self.skep("status", code=1)[0]["problems"]))
        self.assertEqual(steps(self.skep("up")), ["add the role to instance profile skep-prod-eu-central-1-worker"])

    def changes_nothing(self):
        before = self.server.control("GET", "counts")
        self.server.control("DELETE", "requests")
        again = self.skep("up", "--wait")
        self.assertEqual(steps(again), ["wait for skep-prod-manager-1", "wait for skep-prod-manager-2", "join the siblings"])
        asked = {one["operation"] for one in self.server.control("GET", "requests")}
        self.assertEqual([name for name in asked if not name.startswith(LOOKS)], [])
        self.assertEqual(self.server.control("GET", "counts"), before)


class CutOff(DeployTest):
    def test_killed_after_each_step_it_goes_on_where_it_was(self):
        other = self.skep("up", name="other")
        counts = self.server.control("GET", "counts")
        planned = steps(self.skep("up", "--dry-run"), "planned")
        done = []
        for _ in range(2 * len(planned)):
            step = self.up_killed_after_a_step()
            if step is None:
                break
            done.append(step)
        # The kill may come a step late, and what was made is not seen at once: then it is asked for again.
        self.assertEqual(list(dict.fromkeys(done)), [step for step in planned if step in done])
        self.assertGreater(len(done), len(planned) // 3)
        self.assertEqual(self.server.control("GET", "counts"), {kind: 2 * count for kind, count in counts.items()})
        self.skep("down", "--delete-data")
        self.assertEqual(self.server.control("GET", "counts"), counts, "the other cluster is as it was")
        self.assertEqual(steps(self.skep("up", "--dry-run", name="other"), "planned"), [])
        self.assertEqual(len(other[-1]["managers"]), 2)

    def up_killed_after_a_step(self):
        """The step after which it was killed; None if it came to its end."""
        with subprocess.Popen([BIN, *self.arguments("up")], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              env=self.lab.environment(self.server.environment())) as process:
            for line in process.stdout:
                if json.loads(line).get("state") == "done":
                    process.kill()
                    return json.loads(line)["step"]
            self.assertEqual(process.wait(PATIENCE), 0)
            return None


class Trouble(DeployTest):
    def test_all_errors_at_once(self):
        self.server.control("POST", "settings", {"throttle": 0.1, "describe_seconds": 20, "profile_seconds": 60})
        self.server.control("POST", "chaos", {"seed": 7, "kinds": ["error", "drop", "slow", "capacity", "expired_token"]})
        # As a person does: what ends in a sentence (no capacity in the zone of a volume) is begun again.
        self.until_done("up", "--wait")
        self.until_done("down", "--delete-data")
        self.server.control("DELETE", "faults")
        self.counts()

    def until_done(self, *more):
        for _ in range(10):
            done = self.lab.run(*self.arguments(*more), environment=self.server.environment(), seconds=3 * PATIENCE)
            if done.returncode == 0:
                return
            self.assertEqual(len(done.stderr.decode().splitlines()), 1, done)
            self.assertNotIn("InternalError", done.stderr.decode(), "what can be repeated is repeated by itself")
        self.fail(f"{more} does not get through: {done}")

    def test_a_manager_that_vanishes_is_replaced(self):
        self.server.fault("vanishes", count=1, after_seconds=30)
        made = self.skep("up", "--wait")
        for manager in made[-1]["managers"]:
            self.assertEqual(self.http(manager).get("/readyz").status, 200)
        self.assertEqual(self.server.control("GET", "counts")["instances"], 2)

    def test_what_is_wrong_is_one_sentence(self):
        self.assertIn("--name", self.refused("aws", "up", code=2))
        self.assertIn("--package", self.refused("aws", "up", "--name", "prod", code=2))
        self.assertIn("--allow-cidr", self.refused("aws", "up", "--name", "prod", "--wait", code=2))
        self.assertIn("rds", self.refused("aws", "up", "--name", "prod", "--store", "mysql", code=2))
        self.assertIn("--volume-gib", self.refused("aws", "up", "--name", "prod", "--store", "rds", "--volume-gib", "5", code=2))
        self.server.client("iam").create_role(RoleName="skep-prod-eu-central-1-worker", AssumeRolePolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": []}))
        self.assertIn("skep:cluster=prod", self.refused(*self.arguments("up"), code=5))
        self.skep("down")
        self.counts(roles=1)
        self.server.control("POST", "vpc", {"default": False})
        self.assertIn("no default VPC", self.refused(*self.arguments("up"), code=4))


if __name__ == "__main__":
    unittest.main()
