# SPDX-License-Identifier: Apache-2.0
"""fault_server.py - the fault server of server.py as tests use it: started in a Lab, steered, and asked by botocore.

    with Lab() as lab:
        server = FaultServer(lab, ["--rate", "20"])
        server.control("POST", "faults", {"kind": "capacity", "zone": "eu-central-1a"})
        lab.run("aws", "up", environment=server.environment())

Threads: a FaultServer belongs to one thread.
"""
import json
import os
import sys
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../process"))

import botocore.config  # noqa: E402
import botocore.session  # noqa: E402
from harness import BIN, Process, wait_until  # noqa: E402

KEY, SECRET, REGION = "AKIATESTOFSKEP000001", "secret-of-the-test-account", "eu-central-1"
DEBIAN = "/aws/service/debian/release/12/latest/amd64"
TRUST = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {
    "Service": "ec2.amazonaws.com"}}]})


class FaultServer:
    def __init__(self, lab, arguments=(), region=REGION):
        # /usr/bin/python3 is the one for which Debian installs botocore.
        python = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
        self.process = Process(lab, "aws", [python, "-B", os.path.join(HERE, "server.py"), "--skep", BIN, "--directory",
                                            lab.path(f"machines-{region}"), "--region", region, *arguments])
        line = self.process.wait_for_first_line()
        if not line.startswith("listening on "):
            raise AssertionError(f"the fault server did not come up: {line!r}; {self.process.log()}")
        self.address = line.split()[-1]
        self.url = f"http://{self.address}"
        self.lab = lab
        self.region = region
        self._clients = {}
        self._session = botocore.session.Session()

    def control(self, method, path, data=None):
        """An order or a question of the control interface; its answer."""
        body = json.dumps(data).encode() if data is not None else None
        request = urllib.request.Request(f"{self.url}/_control/{path}", body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.read().decode()}") from None

    def fault(self, kind, **fields):
        return self.control("POST", "faults", {"kind": kind, **fields})["ids"][0]

    def advance(self, seconds):
        return self.control("POST", "clock", {"advance_seconds": seconds})

    def state(self, kind):
        return self.control("GET", "state")[kind]

    def violations(self):
        """What the model and the signing rules refused, and mistakes of the server itself: [] in a sound test."""
        return self.control("GET", "violations")

    def environment(self, **more):
        """What makes skep and AWS's own tools ask this server."""
        return {"AWS_ENDPOINT_URL": self.url, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": self.region,
                "AWS_DEFAULT_REGION": self.region, "AWS_EC2_METADATA_DISABLED": "true", "AWS_PAGER": "", **more}

    def client(self, service, key=KEY, secret=SECRET, token=None, retries=0, region=None):
        """botocore's client, which makes each request once unless told otherwise. Closed with the lab."""
        config = botocore.config.Config(retries={"max_attempts": retries}, s3={"addressing_style": "path"},
                                        read_timeout=20)
        region = region or self.region
        if (service, key, retries, region) not in self._clients:
            made = self._session.create_client(service, region_name=region, endpoint_url=self.url, config=config,
                                               aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token)
            self._clients[service, key, retries, region] = self.lab.keep(made)
        return self._clients[service, key, retries, region]

    def keys_of(self, ident):
        """The keys of the role of an instance, as its metadata tells whoever is on it; for client()."""
        metadata = f"http://{self.state('instances')[ident]['address']}:{self.address.rpartition(':')[2]}/latest"

        def ask(method, path, headers):
            with urllib.request.urlopen(urllib.request.Request(metadata + path, method=method, headers=headers), timeout=30) as answer:
                return answer.read().decode()

        token = {"X-aws-ec2-metadata-token": ask("PUT", "/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})}
        place = "/meta-data/iam/security-credentials/"
        found = json.loads(ask("GET", place + ask("GET", place, token), token))
        return {"key": found["AccessKeyId"], "secret": found["SecretAccessKey"], "token": found["Token"]}

    def image(self):
        return self.client("ssm").get_parameter(Name=DEBIAN)["Parameter"]["Value"]

    def profile(self, name, policy=None):
        """A role and an instance profile of that name, of which EC2 knows."""
        iam = self.client("iam")
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
        if policy:
            iam.put_role_policy(RoleName=name, PolicyName="only", PolicyDocument=json.dumps(policy))
        iam.create_instance_profile(InstanceProfileName=name)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
        self.advance(60)

    def instance(self, ident):
        return self.state("instances").get(ident, {"state": "gone"})

    def wait_for(self, condition, what, seconds=30):
        """wait_until() with the server's time moved on at each look."""
        def look():
            self.advance(1)
            return condition()
        return wait_until(look, what, seconds)
