# SPDX-License-Identifier: Apache-2.0
"""Goal: an instance of the fault server is a skep that runs from its user data, and ends when the instance does.

Method: user data as cloud-init would run it (package from S3 by the instance's role, configuration, unit, systemctl),
a manager and a worker from it, tasks through them; then each way in which an instance ends, and the server's own death.
"""
import hashlib
import http.client
import json
import os
import signal
import unittest
from datetime import datetime, timezone

from fault_server import FaultServer
from harness import Http, Lab, NoAnswer, Process, reference, wait_until

PACKAGE = b"stands for a package"
POLICY = {"Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::package/*"},
                        {"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": "*"}]}
SCRIPT = """#!/bin/bash
set -eu
for try in 1 2 3 4 5; do aws s3 cp s3://package/skep.deb /tmp/skep.deb && break; sleep 5; done
echo "%(sha256)s  /tmp/skep.deb" | sha256sum -c
apt-get update
apt-get install -y /tmp/skep.deb
useradd --system skep
mkdir -p /etc/skep
aws ssm get-parameter --name /skep/word --with-decryption --query Parameter.Value --output text > /etc/skep/word
cat > /etc/skep/skep.toml <<'END'
%(config)s
END
cat > /etc/systemd/system/skep-test.service <<'END'
[Service]
User=skep
StateDirectory=skep
ExecStart=/usr/bin/skep %(command)s --config /etc/skep/skep.toml
Restart=on-failure
RestartSec=2
SuccessAction=poweroff
END
systemctl daemon-reload
systemctl enable --now skep-test.service
systemctl is-active skep-test.service
"""
MANAGER = 'listen = "0.0.0.0:8080"\ninsecure = true\nprovisioner = "none"\nstore = "rocksdb:/var/lib/skep/store"'
DISK = """#!/bin/bash
set -eu
until [ -b /dev/sdf ]; do sleep 1; done
blkid /dev/sdf || mkfs.ext4 /dev/sdf
mkdir -p /var/lib/skep
mount /dev/sdf /var/lib/skep
echo "$(cat /var/lib/skep/seen 2>/dev/null || true)$1x" >> /var/lib/skep/seen
mountpoint -q /var/lib/skep && cat /var/lib/skep/seen && echo mounted
shutdown -h now
"""


class MachineTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab()
        cls.addClassCleanup(cls.lab.close)
        cls.server = FaultServer(cls.lab, ["--rate", "40"])
        cls.ec2 = cls.server.client("ec2")
        cls.image = cls.server.image()
        cls.server.profile("machine", POLICY)
        s3 = cls.server.client("s3")
        s3.create_bucket(Bucket="package", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        s3.put_object(Bucket="package", Key="skep.deb", Body=PACKAGE)
        cls.server.client("ssm").put_parameter(Name="/skep/word", Value="swordfish", Type="SecureString")

    def start(self, script, **params):
        made = self.ec2.run_instances(**{
            "ImageId": self.image, "InstanceType": "c5.large", "MinCount": 1, "MaxCount": 1, "UserData": script,
            "IamInstanceProfile": {"Name": "machine"}, "InstanceInitiatedShutdownBehavior": "terminate",
            "MetadataOptions": {"HttpTokens": "required", "InstanceMetadataTags": "enabled"}, **params})["Instances"][0]
        return made["InstanceId"], made["PrivateIpAddress"]

    def skep(self, command, config, **params):
        digest = hashlib.sha256(PACKAGE).hexdigest()
        return self.start(SCRIPT % {"sha256": digest, "command": command, "config": config}, **params)

    def state(self, ident):
        return self.server.instance(ident)["state"]

    def console(self, ident):
        return self.server.control("GET", "console/" + ident)["console"]

    def wait(self, condition, what, ident):
        try:
            return wait_until(condition, what, 20)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.console(ident)}") from None

    def answers(self, http, path):
        try:
            return http.get(path).status == 200
        except NoAnswer:
            return False

    def manager(self):
        ident, address = self.skep("manager", MANAGER)
        http = self.lab.keep(Http(f"{address}:8080"))
        self.wait(lambda: self.answers(http, "/readyz"), "the manager is ready", ident)
        return ident, address, http

    def metadata(self, address, path, method="GET", headers=None):
        connection = http.client.HTTPConnection(address, int(self.server.address.rpartition(":")[2]), timeout=10)
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text


class Skep(MachineTest):
    def test_a_manager_and_a_spot_worker_compute_and_end(self):
        manager, address, http_client = self.manager()
        worker, worker_address = self.skep("worker", f'manager = "http://{address}:8080"\nname = "one"',
                                           InstanceMarketOptions={"MarketType": "spot"})
        answer = http_client.post("/v1/tasks?iterations=100", b"body").json()
        seen = http_client.get(f"/v1/tasks/{answer['id']}?wait=30s").json()
        self.assertEqual(seen.get("result"), reference(b"body", 100), self.console(worker))
        self.assertEqual(http_client.get("/v1/workers").json()["workers"][0]["name"], "one")
        with open(self.lab.path(f"machines-{self.server.region}", worker, "etc/skep/word"), encoding="ascii") as file:
            self.assertEqual(file.read(), "swordfish\n")
        self.interrupted(worker, worker_address)
        self.ec2.terminate_instances(InstanceIds=[manager])
        self.wait(lambda: self.state(manager) == "terminated", "the manager's instance has ended", manager)
        self.wait(lambda: not self.answers(http_client, "/healthz"), "the manager is gone", manager)

    def interrupted(self, worker, address):
        """A notice in the metadata, in the clock of the machine; then the end."""
        _, token = self.metadata(address, "/latest/api/token", "PUT", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
        headers, path = {"X-aws-ec2-metadata-token": token}, "/latest/meta-data/spot/instance-action"
        self.assertEqual(self.metadata(address, path, headers=headers)[0], 404)
        self.assertEqual(self.metadata(address, path)[0], 401)
        self.server.control("POST", "instances/" + worker, {"action": "interrupt"})
        status, text = self.metadata(address, path, headers=headers)
        self.assertEqual((status, json.loads(text)["action"]), (200, "terminate"))
        end = datetime.strptime(json.loads(text)["time"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
        self.assertLess(abs((end - datetime.now(timezone.utc)).total_seconds() - 120 / 40), 3, "in the machine's time")
        self.server.advance(121)
        self.wait(lambda: self.state(worker) == "terminated", "the spot instance is taken away", worker)
        self.assertEqual(self.server.instance(worker)["reason"], "Server.SpotInstanceTermination")

    def test_a_worker_that_ends_by_itself_takes_its_instance_with_it(self):
        ident, _ = self.skep("worker", 'manager = "http://127.0.0.1:9"\norphan-timeout = "200ms"')
        self.wait(lambda: self.state(ident) == "terminated", "the instance has shut itself down", ident)
        self.assertEqual(self.server.instance(ident)["reason"], "Client.InstanceInitiatedShutdown")

    def test_a_service_is_started_again_when_killed_but_not_when_its_machine_hangs_or_vanishes(self):
        ident, address, http_client = self.manager()
        pids = self.pids("manager", address)
        os.kill(pids[0], signal.SIGKILL)
        self.wait(lambda: self.pids("manager", address) not in ([], pids) and self.answers(http_client, "/readyz"),
                  "it is started again", ident)
        self.server.control("POST", "instances/" + ident, {"action": "hang"})
        with self.assertRaises(NoAnswer):
            http_client.get("/readyz", timeout=0.5)
        self.assertEqual(self.state(ident), "running")
        self.server.control("POST", "instances/" + ident, {"action": "vanish"})
        self.wait(lambda: not self.pids("manager", address), "it is gone", ident)
        self.assertEqual(self.state(ident), "terminated")

    def pids(self, command, address):
        """The processes of this lab that run `skep COMMAND` for the instance at `address`."""
        found = []
        for pid in self.lab.survivors():
            try:
                with open(f"/proc/{pid}/environ", "rb") as file:
                    is_there = f"SKEP_TEST_ADDRESS={address}".encode() in file.read().split(b"\0")
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            if is_there and words[0].endswith(b"/skep") and command.encode() in words[1:2]:
                found.append(pid)
        return found


class Devices(MachineTest):
    def test_what_is_on_a_volume_outlives_its_instance(self):
        volume = self.ec2.create_volume(AvailabilityZone="eu-central-1a", Size=8)["VolumeId"]
        for count in (1, 2):
            ident, _ = self.start(DISK.replace("$1", str(count)), Placement={"AvailabilityZone": "eu-central-1a"})
            self.wait(lambda: self.state(ident) == "running", "it runs", ident)
            self.server.advance(10)
            self.ec2.attach_volume(VolumeId=volume, InstanceId=ident, Device="/dev/sdf")
            self.wait(lambda: self.state(ident) == "terminated", "it has shut down", ident)
            self.assertIn("mounted", self.console(ident))
        self.assertIn("1x\n1x2x\n", self.console(ident))

    def test_a_machine_that_never_boots_runs_nothing(self):
        self.server.fault("never_boots", count=1)
        ident, _ = self.start("#!/bin/sh\necho alive\n")
        self.server.advance(600)
        self.assertEqual((self.state(ident), self.console(ident)), ("running", ""))


class Death(unittest.TestCase):
    def test_nothing_outlives_a_server_however_it_ends(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            with Lab() as lab:
                server = FaultServer(lab, ["--rate", "100"])
                server.client("ec2").run_instances(
                    ImageId=server.image(), InstanceType="c5.large", MinCount=1, MaxCount=1,
                    UserData="#!/bin/bash\n(trap '' TERM HUP; setsid /bin/sleep 300) &\n/bin/sleep 300\n")
                wait_until(lambda: len(lab.survivors()) >= 5, "server, init, script and two pauses run")
                server.process.signal(number)
                server.process.wait()
                wait_until(lambda: not lab.survivors(), f"nothing is left after signal {number}", 10)

    def test_a_server_ends_with_its_parent(self):
        with Lab() as lab:
            parent = lab.script("parent", "#!/bin/sh\n/usr/bin/python3 -B \"$1\" --no-machines &\nread line\n")
            here = os.path.dirname(os.path.abspath(__file__))
            read, write = os.pipe()
            process = Process(lab, "parent", [parent, os.path.join(here, "server.py")], stdin=read)
            process.wait_for_first_line()
            self.assertEqual(len(lab.survivors()), 2)
            os.close(write)
            os.close(read)
            process.wait()
            wait_until(lambda: not lab.survivors(), "the server has ended too")


if __name__ == "__main__":
    unittest.main()
