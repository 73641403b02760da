# SPDX-License-Identifier: Apache-2.0
"""Goal: the server behaves as AWS documents where it matters to a deployer, and each fault does what it says.

Method: botocore's clients, each request made once, against one server without machines; its clock is moved by hand.
"""
import ipaddress
import json
import threading
import unittest
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

import botocore.exceptions
from fault_server import DEBIAN, TRUST, FaultServer
from harness import Lab


class ServiceTest(unittest.TestCase):
    """Each test class has a server of its own, each test a server without faults."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab()
        cls.addClassCleanup(cls.lab.close)
        cls.server = FaultServer(cls.lab, ["--no-machines", "--rate", "1"])
        cls.ec2, cls.iam, cls.ssm, cls.s3, cls.rds, cls.sts = (cls.server.client(name) for name in (
            "ec2", "iam", "ssm", "s3", "rds", "sts"))
        cls.image = cls.server.image()
        cls.server.control("POST", "settings", {"throttle": 0})

    def setUp(self):
        self.addCleanup(self.server.control, "DELETE", "faults", {})

    def refused(self, code, call, **params):
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            call(**params)
        self.assertEqual(caught.exception.response["Error"]["Code"], code, str(caught.exception))
        return str(caught.exception)

    def run_one(self, **params):
        answer = self.ec2.run_instances(**{"ImageId": self.image, "InstanceType": "c5.large", "MinCount": 1, "MaxCount": 1,
                                           **params})
        return answer["Instances"][0]["InstanceId"]

    def states(self):
        return {ident: one["state"] for ident, one in self.server.state("instances").items()}


class Launching(ServiceTest):
    def test_the_same_client_token_launches_once(self):
        first = self.run_one(ClientToken="once")
        self.assertEqual(self.run_one(ClientToken="once"), first)
        self.assertEqual(len(self.states()), len(set(self.states())))
        self.refused("IdempotentParameterMismatch", self.run_one, ClientToken="once", InstanceType="c5.xlarge")

    def test_a_token_counts_in_its_zone_alone_and_is_used_up_by_termination(self):
        zones = [{"AvailabilityZone": "eu-central-1" + letter} for letter in "ab"]
        first, second = (self.run_one(ClientToken="zonal", Placement=zone) for zone in zones)
        self.assertNotEqual(first, second)
        self.server.advance(5)
        self.ec2.terminate_instances(InstanceIds=[first])
        self.refused("IdempotentInstanceTerminated", self.run_one, ClientToken="zonal", Placement=zones[0])

    def test_an_instance_takes_time_to_run_to_be_seen_and_to_end(self):
        self.server.control("POST", "settings", {"describe_seconds": 10})
        ident = self.run_one()
        self.refused("InvalidInstanceID.NotFound", self.ec2.describe_instances, InstanceIds=[ident])
        self.refused("InvalidInstanceID.NotFound", self.ec2.terminate_instances, InstanceIds=[ident])
        self.server.advance(60)
        found = self.ec2.describe_instances(InstanceIds=[ident])["Reservations"][0]["Instances"][0]
        self.assertEqual(found["State"]["Name"], "running")
        answer = self.ec2.terminate_instances(InstanceIds=[ident])["TerminatingInstances"][0]
        self.assertEqual((answer["PreviousState"]["Name"], answer["CurrentState"]["Name"]), ("running", "shutting-down"))
        found = self.ec2.describe_instances(InstanceIds=[ident])["Reservations"][0]["Instances"][0]
        self.assertEqual(found["State"]["Name"], "running", "a describe shows a change late")
        self.server.advance(60)
        found = self.ec2.describe_instances(InstanceIds=[ident])["Reservations"][0]["Instances"][0]
        self.assertEqual(found["State"]["Name"], "terminated")
        self.server.advance(4000)
        self.refused("InvalidInstanceID.NotFound", self.ec2.describe_instances, InstanceIds=[ident])
        self.server.control("POST", "settings", {"describe_seconds": 2})

    def test_an_instance_profile_is_invalid_until_it_has_spread(self):
        self.iam.create_role(RoleName="spread", AssumeRolePolicyDocument=TRUST)
        self.iam.create_instance_profile(InstanceProfileName="spread")
        profile = {"IamInstanceProfile": {"Name": "spread"}}
        text = self.refused("InvalidParameterValue", self.run_one, **profile)
        self.assertIn("Invalid IAM Instance Profile name", text)
        self.server.advance(20)
        self.assertIn("has no associated IAM Roles", self.refused("InvalidParameterValue", self.run_one, **profile))
        self.iam.add_role_to_instance_profile(InstanceProfileName="spread", RoleName="spread")
        self.assertIn("has no associated IAM Roles", self.refused("InvalidParameterValue", self.run_one, **profile))
        self.server.advance(20)
        self.run_one(**profile)

    def test_capacity_can_lack_in_one_zone_or_of_one_type(self):
        self.server.fault("capacity", zone="eu-central-1a")
        zone = {"AvailabilityZone": "eu-central-1a"}
        self.refused("InsufficientInstanceCapacity", self.run_one, Placement=zone)
        self.run_one(Placement={"AvailabilityZone": "eu-central-1b"})
        self.server.control("DELETE", "faults", {})
        self.server.fault("capacity", type="c5.*", count=1)
        self.refused("InsufficientInstanceCapacity", self.run_one, Placement=zone)
        self.run_one(Placement=zone)
        self.refused("Unsupported", self.run_one, InstanceType="c7a.large", Placement={"AvailabilityZone": "eu-central-1c"})

    def test_the_quota_counts_what_ended_for_a_while(self):
        self.server.advance(200)
        running = [ident for ident, state in self.states().items() if state != "terminated"]
        if running:
            self.ec2.terminate_instances(InstanceIds=running)
        self.server.advance(100)
        self.server.control("POST", "settings", {"vcpus_on_demand": 2})
        self.addCleanup(self.server.control, "POST", "settings", {"vcpus_on_demand": 256})
        ident = self.run_one()
        self.refused("VcpuLimitExceeded", self.run_one)
        self.server.advance(5)
        self.ec2.terminate_instances(InstanceIds=[ident])
        self.server.advance(20)
        self.refused("VcpuLimitExceeded", self.run_one)
        self.server.advance(60)
        self.run_one()

    def test_an_answer_can_be_lost_after_the_launch(self):
        before = len(self.states())
        self.server.fault("drop", operation="RunInstances", after=True, count=1)
        with self.assertRaises(botocore.exceptions.HTTPClientError):
            self.run_one(ClientToken="lost")
        self.assertEqual(len(self.states()), before + 1)
        self.run_one(ClientToken="lost")
        self.assertEqual(len(self.states()), before + 1)

    def test_instances_can_hang_and_vanish(self):
        self.server.fault("stuck_pending", count=1)
        stuck = self.run_one()
        self.server.fault("vanishes", count=1, after_seconds=100)
        gone = self.run_one()
        self.server.fault("never_boots", count=1)
        mute = self.run_one()
        self.server.advance(60)
        self.assertEqual([self.states()[ident] for ident in (stuck, gone, mute)], ["pending", "running", "running"])
        self.assertEqual([self.server.instance(ident)["has_booted"] for ident in (gone, mute)], [True, False])
        self.server.advance(60)
        self.assertEqual(self.states()[gone], "terminated")
        self.assertEqual(self.server.instance(gone)["reason"], "Server.InternalError")

    def test_a_fleet_is_launched_over_types_zones_and_markets(self):
        self.ec2.create_launch_template(LaunchTemplateName="fleet-1", LaunchTemplateData={"ImageId": self.image})
        self.server.advance(10)
        self.server.fault("capacity", type="c5.large", market="spot")
        config = {"LaunchTemplateSpecification": {"LaunchTemplateName": "fleet-1", "Version": "$Latest"},
                  "Overrides": [{"InstanceType": "c5.large"}, {"InstanceType": "c6i.large"}]}
        asked = {"Type": "instant", "LaunchTemplateConfigs": [config], "ClientToken": "fleet",
                 "TargetCapacitySpecification": {"TotalTargetCapacity": 5, "OnDemandTargetCapacity": 2,
                                                 "DefaultTargetCapacityType": "spot"}}
        answer = self.ec2.create_fleet(**asked)
        made = [(one["Lifecycle"], one["InstanceType"]) for one in answer["Instances"]]
        self.assertEqual(sorted(made), [("on-demand", "c5.large")] * 2 + [("spot", "c6i.large")] * 3)
        self.assertEqual({error["ErrorCode"] for error in answer["Errors"]}, {"InsufficientInstanceCapacity"})
        self.assertEqual(self.ec2.create_fleet(**asked)["FleetId"], answer["FleetId"])

    def test_volumes_outlive_their_instance_and_keep_to_their_zone(self):
        ident = self.run_one(Placement={"AvailabilityZone": "eu-central-1a"})
        here, there = (self.ec2.create_volume(AvailabilityZone="eu-central-1" + zone, Size=8)["VolumeId"] for zone in "ab")
        self.server.advance(60)
        attach = {"InstanceId": ident, "Device": "/dev/sdf"}
        self.refused("InvalidVolume.ZoneMismatch", self.ec2.attach_volume, VolumeId=there, **attach)
        self.ec2.attach_volume(VolumeId=here, **attach)
        self.refused("VolumeInUse", self.ec2.delete_volume, VolumeId=here)
        self.ec2.terminate_instances(InstanceIds=[ident])
        self.server.advance(60)
        self.assertEqual(self.server.state("volumes")[here]["state"], "available")
        self.ec2.delete_volume(VolumeId=here)

    def test_no_default_vpc_has_an_error_of_its_own(self):
        lab = self.lab
        server = FaultServer(lab, ["--no-machines"])
        server.control("POST", "vpc", {"default": False})
        self.refused("VPCIdNotSpecified", server.client("ec2").run_instances, ImageId=server.image(), InstanceType="c5.large",
                     MinCount=1, MaxCount=1)
        server.client("ec2").create_default_vpc()
        server.client("ec2").run_instances(ImageId=server.image(), InstanceType="c5.large", MinCount=1, MaxCount=1)


class Chaos(ServiceTest):
    def test_a_patient_client_with_tokens_gets_what_it_asks_for_and_no_more(self):
        for seed in range(5):
            self.server.control("POST", "chaos", {"seed": seed, "kinds": ["error", "drop", "slow", "capacity", "expired_token"]})
            made = set()
            for number in range(6):
                made.add(self.until_done(lambda: self.run_one(ClientToken=f"chaos-{seed}-{number}")))
            self.server.control("DELETE", "faults", {})
            self.assertEqual(len(made), 6)
            self.assertEqual(len(self.states()), 6 * (seed + 1), f"seed {seed}")
        self.assertLessEqual({"error", "drop", "capacity"}, set(self.server.control("GET", "faults")["fired"]))

    def until_done(self, call):
        for _ in range(60):
            try:
                return call()
            except (botocore.exceptions.ClientError, botocore.exceptions.HTTPClientError):
                self.server.advance(1)
        return self.fail("60 attempts have failed")


class Limits(ServiceTest):
    def test_buckets_are_those_of_the_documentation(self):
        self.server.control("POST", "settings", {"throttle": 1})
        self.addCleanup(self.server.control, "POST", "settings", {"throttle": 0})
        codes = []
        for _ in range(8):
            try:
                self.ec2.run_instances(ImageId=self.image, InstanceType="c5.large", MinCount=1, MaxCount=1, DryRun=True)
            except botocore.exceptions.ClientError as error:
                codes.append(error.response["Error"]["Code"])
        self.assertGreaterEqual(codes.count("DryRunOperation"), 5)
        self.assertIn("RequestLimitExceeded", codes)
        self.server.advance(3)
        self.refused("DryRunOperation", self.ec2.run_instances, ImageId=self.image, InstanceType="c5.large", MinCount=1,
                     MaxCount=1, DryRun=True)

    def test_a_group_in_use_can_not_be_deleted(self):
        group = self.ec2.create_security_group(GroupName="used", Description="d")["GroupId"]
        self.refused("InvalidGroup.Duplicate", self.ec2.create_security_group, GroupName="used", Description="d")
        self.server.advance(10)
        permission = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
        self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
        self.refused("InvalidPermission.Duplicate", self.ec2.authorize_security_group_ingress, GroupId=group,
                     IpPermissions=[permission])
        ident = self.run_one(SecurityGroupIds=[group])
        self.server.advance(10)
        self.ec2.terminate_instances(InstanceIds=[ident])
        self.refused("DependencyViolation", self.ec2.delete_security_group, GroupId=group)
        self.server.advance(30)
        self.ec2.delete_security_group(GroupId=group)

    def test_a_role_is_deleted_last(self):
        self.server.profile("last", {"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}})
        self.refused("DeleteConflict", self.iam.delete_role, RoleName="last")
        self.iam.remove_role_from_instance_profile(InstanceProfileName="last", RoleName="last")
        self.refused("DeleteConflict", self.iam.delete_role, RoleName="last")
        self.iam.delete_role_policy(RoleName="last", PolicyName="only")
        self.iam.delete_role(RoleName="last")
        self.iam.delete_instance_profile(InstanceProfileName="last")
        self.refused("NoSuchEntity", self.iam.get_role, RoleName="last")

    def test_a_policy_lets_a_role_do_what_it_says_and_no_more(self):
        self.server.profile("narrow", {"Statement": [
            {"Effect": "Allow", "Action": "ec2:TerminateInstances", "Resource": "*",
             "Condition": {"StringEquals": {"aws:ResourceTag/cluster": "mine"}}},
            {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": "arn:aws:s3:::box/in/*"},
            {"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::box/in/secret"}]})
        made = self.sts.assume_role(RoleArn="arn:aws:iam::123456789012:role/narrow", RoleSessionName="session")["Credentials"]
        keys = {"key": made["AccessKeyId"], "secret": made["SecretAccessKey"], "token": made["SessionToken"]}
        ec2, s3 = self.server.client("ec2", **keys), self.server.client("s3", **keys)
        tagged = [{"ResourceType": "instance", "Tags": [{"Key": "cluster", "Value": "mine"}]}]
        mine, other = self.run_one(TagSpecifications=tagged), self.run_one()
        self.server.advance(10)
        ec2.terminate_instances(InstanceIds=[mine])
        self.refused("UnauthorizedOperation", ec2.terminate_instances, InstanceIds=[other])
        self.refused("UnauthorizedOperation", ec2.describe_instances)
        self.s3.create_bucket(Bucket="box", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        self.s3.put_object(Bucket="box", Key="in/a", Body=b"1")
        self.assertEqual(s3.get_object(Bucket="box", Key="in/a")["Body"].read(), b"1")
        self.refused("AccessDenied", s3.get_object, Bucket="box", Key="in/secret")
        self.refused("AccessDenied", s3.put_object, Bucket="box", Key="in/a", Body=b"2")
        self.assertEqual(self.server.control("GET", "denied")[-1]["action"], "s3:PutObject")
        self.server.control("POST", "expire", {})
        self.refused("RequestExpired", ec2.describe_instances)
        self.refused("ExpiredToken", s3.get_object, Bucket="box", Key="in/a")

    def test_a_changed_policy_counts_late_if_told_to(self):
        self.server.profile("late")
        made = self.sts.assume_role(RoleArn="arn:aws:iam::123456789012:role/late", RoleSessionName="session")["Credentials"]
        ec2 = self.server.client("ec2", made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
        self.server.control("POST", "settings", {"policy_seconds": 100})
        self.addCleanup(self.server.control, "POST", "settings", {"policy_seconds": 0})
        self.iam.put_role_policy(RoleName="late", PolicyName="all", PolicyDocument=json.dumps(
            {"Statement": {"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}}))
        self.refused("UnauthorizedOperation", ec2.describe_vpcs)
        self.server.advance(101)
        ec2.describe_vpcs()

    def test_a_private_address_is_one_instances_until_it_is_terminated(self):
        subnet = self.ec2.describe_subnets()["Subnets"][0]
        address = str(ipaddress.ip_network(subnet["CidrBlock"])[77])
        first = self.run_one(SubnetId=subnet["SubnetId"], PrivateIpAddress=address)
        self.refused("InvalidIPAddress.InUse", self.run_one, SubnetId=subnet["SubnetId"], PrivateIpAddress=address)
        self.refused("InvalidParameterValue", self.run_one, SubnetId=subnet["SubnetId"], PrivateIpAddress="192.0.2.1")
        self.server.advance(30)
        self.ec2.terminate_instances(InstanceIds=[first])
        self.server.advance(30)
        second = self.run_one(SubnetId=subnet["SubnetId"], PrivateIpAddress=address)
        self.assertEqual(self.server.state("instances")[second]["address"], address)

    def test_a_body_is_held_against_its_checksum(self):
        self.s3.create_bucket(Bucket="sums", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        tagging = {"TagSet": [{"Key": "a", "Value": "b"}]}
        self.s3.put_bucket_tagging(Bucket="sums", Tagging=tagging)
        self.s3.put_bucket_tagging(Bucket="sums", Tagging=tagging, ChecksumAlgorithm="SHA256")
        self.s3.put_public_access_block(Bucket="sums", PublicAccessBlockConfiguration={"BlockPublicAcls": True},
                                        ChecksumAlgorithm="SHA256")
        self.s3.put_object(Bucket="sums", Key="k", Body=b"1", ChecksumAlgorithm="SHA256")
        self.refused("BadDigest", self.s3.put_object, Bucket="sums", Key="k", Body=b"1", ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==")

    def test_a_clock_that_is_wrong_is_told(self):
        self.server.control("POST", "clock", {"skew_seconds": 3600})
        self.addCleanup(self.server.control, "POST", "clock", {"skew_seconds": 0})
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            self.ec2.describe_instances()
        self.assertEqual(caught.exception.response["Error"]["Code"], "RequestExpired")
        date = parsedate_to_datetime(caught.exception.response["ResponseMetadata"]["HTTPHeaders"]["date"])
        self.assertAlmostEqual((date - datetime.now(timezone.utc)).total_seconds(), 3600, delta=60)
        self.assertIn("Signature expired", self.refused("SignatureDoesNotMatch", self.sts.get_caller_identity))
        self.refused("RequestTimeTooSkewed", self.s3.list_buckets)
        self.assertIn("Signature expired", self.refused("InvalidSignatureException", self.ssm.get_parameter, Name=DEBIAN))

    def test_errors_are_switched_on_by_operation_count_and_chance(self):
        self.server.fault("error", operation="Describe*", code="InternalError", status=500, count=1)
        self.refused("InternalError", self.ec2.describe_vpcs)
        self.ec2.describe_vpcs()
        self.server.fault("error", operation="DescribeVpcs", code="Unavailable", status=503, probability=0.5)
        outcomes = set()
        for _ in range(40):
            try:
                self.ec2.describe_vpcs()
                outcomes.add("fine")
            except botocore.exceptions.ClientError as error:
                outcomes.add(error.response["Error"]["Code"])
        self.assertEqual(outcomes, {"fine", "Unavailable"})
        with self.assertRaises(AssertionError):
            self.server.fault("no_such_fault")

    def test_many_clients_at_once_get_their_own_answers(self):
        names, wrong = [f"par-{index}" for index in range(20)], []

        def work(name):
            client = self.server.client("ssm")
            client.put_parameter(Name=name, Value=name, Type="String")
            if client.get_parameter(Name=name)["Parameter"]["Value"] != name:
                wrong.append(name)
        threads = [threading.Thread(target=work, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        found = self.ssm.get_paginator("describe_parameters").paginate(MaxResults=7).build_full_result()["Parameters"]
        self.assertLessEqual(set(names), {one["Name"] for one in found})


class Stores(ServiceTest):
    def test_a_secure_parameter_is_shown_to_who_asks_for_it(self):
        self.ssm.put_parameter(Name="/skep/token", Value="hidden", Type="SecureString")
        self.assertNotIn("hidden", self.ssm.get_parameter(Name="/skep/token")["Parameter"]["Value"])
        shown = self.ssm.get_parameter(Name="/skep/token", WithDecryption=True)["Parameter"]
        self.assertEqual((shown["Value"], shown["Version"]), ("hidden", 1))
        self.refused("ParameterAlreadyExists", self.ssm.put_parameter, Name="/skep/token", Value="x", Type="SecureString")
        self.ssm.delete_parameter(Name="/skep/token")
        self.refused("ParameterNotFound", self.ssm.get_parameter, Name="/skep/token")

    def test_objects_come_back_whole_by_range_and_in_parts(self):
        self.s3.create_bucket(Bucket="parts", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        self.refused("BucketAlreadyOwnedByYou", self.s3.create_bucket, Bucket="parts",
                     CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        self.refused("IllegalLocationConstraintException", self.s3.create_bucket, Bucket="parts2")
        key, body = "odd key/+&=ü?.deb", bytes(range(256)) * 40
        self.s3.put_object(Bucket="parts", Key=key, Body=body, Metadata={"sha": "x"})
        head = self.s3.head_object(Bucket="parts", Key=key)
        self.assertEqual((head["ContentLength"], head["Metadata"]), (len(body), {"sha": "x"}))
        part = self.s3.get_object(Bucket="parts", Key=key, Range="bytes=10-19")
        self.assertEqual((part["Body"].read(), part["ResponseMetadata"]["HTTPStatusCode"]), (body[10:20], 206))
        listed = self.s3.list_objects_v2(Bucket="parts", Prefix="odd", Delimiter="/")
        self.assertEqual(listed["CommonPrefixes"], [{"Prefix": "odd key/"}])
        self.refused("BucketNotEmpty", self.s3.delete_bucket, Bucket="parts")
        self.refused("NoSuchKey", self.s3.get_object, Bucket="parts", Key="none")
        self.s3.delete_objects(Bucket="parts", Delete={"Objects": [{"Key": key}]})
        self.s3.delete_bucket(Bucket="parts")

    def test_a_database_takes_minutes_to_come_and_to_go(self):
        self.server.control("POST", "database", {"host": "127.0.0.1", "port": 6543})
        name = {"DBInstanceIdentifier": "skep-db"}
        self.rds.create_db_instance(**name, DBInstanceClass="db.t4g.medium", Engine="postgres", MasterUsername="skep",
                                    MasterUserPassword="twelve-letters", AllocatedStorage=20, MultiAZ=True)
        found = self.rds.describe_db_instances(**name)["DBInstances"][0]
        self.assertEqual((found["DBInstanceStatus"], found.get("Endpoint")), ("creating", None))
        self.refused("InvalidDBInstanceState", self.rds.delete_db_instance, **name, SkipFinalSnapshot=True)
        self.server.advance(300)
        found = self.rds.describe_db_instances(**name)["DBInstances"][0]
        self.assertEqual((found["DBInstanceStatus"], found["Endpoint"]["Port"]), ("available", 6543))
        self.rds.delete_db_instance(**name, SkipFinalSnapshot=True)
        self.server.advance(300)
        self.refused("DBInstanceNotFound", self.rds.describe_db_instances, **name)

    def test_nothing_that_botocore_sent_was_refused_by_the_model(self):
        self.assertEqual(json.dumps(self.server.violations()), "[]")


if __name__ == "__main__":
    unittest.main()
