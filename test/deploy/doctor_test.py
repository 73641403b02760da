#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: skep aws doctor tells what an account can hold, tells it apart from what it could not learn, and makes nothing.

Method: the real binary against the fault server, whose account is spoiled in one place a test.
"""
import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../aws"))

from fault_server import SECRET, FaultServer  # noqa: E402
from harness import BIN, Lab  # noqa: E402

MADE = ("Run", "Create", "Put", "Delete", "Authorize", "Terminate", "Attach")


class Doctor(unittest.TestCase):
    def setUp(self):
        self.lab = Lab()
        self.addCleanup(self.lab.close)
        self.server = FaultServer(self.lab, ["--no-machines", "--rate", "1"])
        self.addCleanup(lambda: self.assertEqual(self.server.violations(), []))

    def run_doctor(self, *arguments, **variables):
        environment = {"HOME": self.lab.path("home"), **self.server.environment(**variables)}
        kept = {name: value for name, value in environment.items() if value is not None}
        done = subprocess.run([BIN, "aws", "doctor", *arguments], env=kept, capture_output=True, text=True, timeout=100, check=False)
        self.assertNotIn(SECRET, done.stdout + done.stderr)
        return done

    def findings(self, *arguments, code, **variables):
        done = self.run_doctor("--json", *arguments, **variables)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        shown = json.loads(done.stdout)
        problems = [one for one in shown["findings"] if one["judgement"] == "problem"]
        self.assertEqual(shown["problems"], len(problems))
        return {one["subject"]: (one["judgement"], one["text"]) for one in shown["findings"]}

    def test_a_sound_account_has_no_problem_and_nothing_is_made(self):
        before = self.server.control("GET", "counts")
        found = self.findings("--worker-types", "c7g.large,c6i.xlarge", "--spot", code=0)
        self.assertEqual({judgement for judgement, _ in found.values()}, {"good"}, found)
        self.assertEqual(len(found), 15, found)
        self.assertIn("arm64", " ".join(found))
        self.assertEqual(self.server.control("GET", "counts"), before)

    def test_people_get_a_line_for_each_finding(self):
        done = self.run_doctor()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^good     credentials +arn:aws:")
        self.assertRegex(done.stdout, r"(?m)^good     network +the default VPC has subnets in eu-central-1a, eu-central-1b")

    def test_without_a_default_vpc_it_says_what_to_do(self):
        self.server.control("POST", "vpc", {"default": False})
        judgement, text = self.findings(code=1)["network"]
        self.assertEqual(judgement, "problem")
        self.assertIn("--vpc", text)

    def test_a_fleet_larger_than_the_quota_is_a_problem(self):
        self.server.control("POST", "settings", {"vcpus_on_demand": 22})
        self.assertEqual(self.findings("--max-workers", "9", code=0)["quota on demand, standard"][0], "good")
        judgement, text = self.findings("--max-workers", "10", code=1)["quota on demand, standard"]
        self.assertEqual(judgement, "problem")
        self.assertIn("22 vCPUs", text)

    def test_each_kind_of_machine_has_quotas_of_its_own(self):
        self.server.control("POST", "settings", {"vcpus_g_spot": 40})
        found = self.findings("--worker-types", "g4dn.xlarge,c6i.large", "--spot", "--max-workers", "10", code=0)
        self.assertIn("up to 40 of 40", found["quota spot, G and VT"][1])
        self.assertIn("up to 20 of 256", found["quota spot, standard"][1])
        self.assertIn("up to 4 of 256", found["quota on demand, standard"][1])
        found = self.findings("--worker-types", "g4dn.xlarge", "--max-workers", "1", code=1)
        self.assertEqual(found["quota on demand, G and VT"][0], "problem")

    def test_a_type_that_is_not_there_is_a_problem(self):
        found = self.findings("--instance-type", "q1.huge", code=1)
        self.assertEqual(found["type q1.huge"][0], "problem")

    def test_keys_that_nobody_knows_end_it(self):
        found = self.findings(code=1, AWS_ACCESS_KEY_ID="AKIANOBODY")
        self.assertEqual(list(found), ["credentials"])
        self.assertEqual(found["credentials"][0], "problem")

    def test_no_keys_and_no_region_are_told_in_a_sentence(self):
        found = self.findings(code=1, AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
        self.assertIn("set AWS_ACCESS_KEY_ID", found["credentials"][1])
        done = self.run_doctor(AWS_REGION=None, AWS_DEFAULT_REGION=None)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("give --region", done.stderr)

    def test_what_is_refused_is_a_problem_and_what_is_ill_is_unknown(self):
        self.server.fault("error", operation="CreateVolume", code="UnauthorizedOperation", status=403, message="You may not.")
        self.server.fault("error", operation="GetServiceQuota", code="ServiceUnavailable", status=503, message="ill")
        self.server.fault("error", operation="CreateSecurityGroup", code="RequestLimitExceeded", status=503, message="slow", count=2)
        self.server.fault("drop", operation="DescribeSubnets", after=True, count=1)
        found = self.findings(code=1)
        self.assertEqual(found["network"][0], "good", found)
        self.assertEqual(found["may CreateSecurityGroup"][0], "good", found)
        self.assertEqual(found["may CreateVolume"][0], "problem", found)
        self.assertIn("UnauthorizedOperation", found["may CreateVolume"][1])
        self.assertEqual(found["quota on demand, standard"][0], "unknown", found)

    def test_keys_of_a_profile_that_assumes_a_role(self):
        self.server.client("iam").create_role(RoleName="build", AssumeRolePolicyDocument=json.dumps({
            "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}]}))
        self.server.client("iam").put_role_policy(RoleName="build", PolicyName="all", PolicyDocument=json.dumps({
            "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}))
        role = self.server.client("iam").get_role(RoleName="build")["Role"]["Arn"]
        config = self.lab.path("config")
        environment = self.server.environment()
        with open(config, "w", encoding="ascii") as file:
            file.write(f"[profile build]\nrole_arn = {role}\nsource_profile = me\n[profile me]\n"
                       f"aws_access_key_id = {environment['AWS_ACCESS_KEY_ID']}\naws_secret_access_key = {SECRET}\n")
        found = self.findings("--profile", "build", code=0, AWS_CONFIG_FILE=config)
        self.assertIn("assumed-role/build/skep", found["credentials"][1])


if __name__ == "__main__":
    unittest.main()
