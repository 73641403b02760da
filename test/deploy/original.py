# SPDX-License-Identifier: Apache-2.0
"""original.py - a cluster made as the original's script makes one: what its authors list as its failures, and nothing else.

Region and image are constants, waits are fixed, a call is made once, the policy is a built-in one that may do everything
at EC2, names are drawn at random. Tests run it where skep is run, to see that the failure is there to be met.

Threads: the test's thread.
"""
import random

from fault_server import TRUST

WAIT_SECONDS = 10
FULL_ACCESS = "arn:aws:iam::aws:policy/AmazonEC2FullAccess"


class Original:
    """`server`: whose account it is. `region`, `image`: its constants, as they were right where it was written."""

    def __init__(self, server, region, image, seed=None):
        self.server = server
        self.image = image
        self.ec2 = server.client("ec2", region=region)
        self.iam = server.client("iam", region=region)
        self.random = random.Random(seed)
        self.name = None

    def deploy(self):
        """Two instances; their ids. Raises what botocore raises at the first thing that goes wrong."""
        self.name = f"cloud-{self.random.randrange(10_000)}"
        self.iam.create_role(RoleName=self.name, AssumeRolePolicyDocument=TRUST)
        self.iam.attach_role_policy(RoleName=self.name, PolicyArn=FULL_ACCESS)
        self.iam.create_instance_profile(InstanceProfileName=self.name)
        self.iam.add_role_to_instance_profile(InstanceProfileName=self.name, RoleName=self.name)
        self.server.advance(WAIT_SECONDS)
        made = self.ec2.run_instances(ImageId=self.image, InstanceType="t3.micro", MinCount=2, MaxCount=2,
                                      IamInstanceProfile={"Name": self.name})
        return [one["InstanceId"] for one in made["Instances"]]
