# SPDX-License-Identifier: Apache-2.0
"""Goal: somebody with Debian's aws in hand sees sensible answers, so the server is not shaped to skep's own client.

Method: a person's session on the command line, with the output that this program makes of the answers.
"""
import json
import os
import subprocess
import unittest

from fault_server import DEBIAN, TRUST, FaultServer
from harness import Lab

AWS = "/usr/bin/aws"


@unittest.skipUnless(os.path.exists(AWS), "Debian's awscli is not installed")
class Session(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab()
        cls.addClassCleanup(cls.lab.close)
        cls.server = FaultServer(cls.lab, ["--no-machines"])

    def aws(self, *arguments):
        # Debian's version is older than AWS_ENDPOINT_URL.
        done = subprocess.run([AWS, "--endpoint-url", self.server.url, "--output", "json", *arguments], capture_output=True,
                              timeout=60, env=self.lab.environment(self.server.environment()), check=False)
        self.assertEqual(done.returncode, 0, f"{arguments}: {done.stderr.decode()}")
        text = done.stdout.decode()
        return json.loads(text) if text.startswith(("{", "[")) else text

    def test_a_session_about_instances(self):
        image = self.aws("ssm", "get-parameter", "--name", DEBIAN)["Parameter"]["Value"]
        template = self.aws("ec2", "create-launch-template", "--launch-template-name", "mine", "--launch-template-data",
                            json.dumps({"ImageId": image, "InstanceType": "c6i.large"}))["LaunchTemplate"]
        self.assertEqual((template["LaunchTemplateName"], template["LatestVersionNumber"]), ("mine", 1))
        self.server.advance(5)
        made = self.aws("ec2", "run-instances", "--launch-template", "LaunchTemplateName=mine", "--count", "2",
                        "--tag-specifications", "ResourceType=instance,Tags=[{Key=Name,Value=by hand}]")["Instances"]
        self.server.advance(30)
        seen = self.aws("ec2", "describe-instances", "--filters", "Name=tag:Name,Values=by*", "Name=instance-state-name,"
                        "Values=running", "--query", "Reservations[].Instances[].[InstanceId,InstanceType,State.Name]")
        self.assertEqual(sorted(seen), sorted([one["InstanceId"], "c6i.large", "running"] for one in made))

    def test_a_session_about_the_rest(self):
        self.aws("iam", "create-role", "--role-name", "somebody", "--assume-role-policy-document", TRUST)
        roles = self.aws("iam", "list-roles")["Roles"]
        self.assertEqual([(one["RoleName"], one["AssumeRolePolicyDocument"]) for one in roles], [("somebody", json.loads(TRUST))])
        self.assertEqual(self.aws("rds", "describe-db-instances"), {"DBInstances": []})
        here, back = self.lab.path("sent"), self.lab.path("back")
        with open(here, "wb") as file:
            file.write(os.urandom(9 * 1024 * 1024))  # larger than what it sends in one piece
        self.aws("s3", "mb", "s3://by-hand")
        self.aws("s3", "cp", here, "s3://by-hand/a folder/sent", "--no-progress")
        self.aws("s3", "cp", "s3://by-hand/a folder/sent", back, "--no-progress")
        with open(here, "rb") as sent, open(back, "rb") as received:
            self.assertTrue(sent.read() == received.read(), "the object came back different")
        self.assertEqual(self.server.violations(), [])


if __name__ == "__main__":
    unittest.main()
