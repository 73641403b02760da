# SPDX-License-Identifier: Apache-2.0
"""hive.py - a real manager with `--provisioner ec2` against the fault server, and what tests ask of the two.

Each Hive is a cluster of its own name in the account of one server, with launch templates as `skep aws up` makes them;
its instances run `skep worker --ec2`. Several may share a server, so that one test has many faults at once.

Threads: the test's thread.
"""
import base64
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../aws"))
sys.path.insert(0, os.path.join(HERE, "../process"))

from harness import Http, NoAnswer, free_port, reference  # noqa: E402

# Starts as many programs as a machine does, and then a worker. A piece of work takes time and no processor.
USER_DATA = """#!/bin/bash
set -eu
echo stands for a package > /tmp/skep.deb
apt-get install -y /tmp/skep.deb
mkdir -p /usr/local/bin
cat > /usr/local/bin/piece <<'END'
#!/bin/sh
timeout %(piece)s tail -f /dev/null
exec cat
END
chmod +x /usr/local/bin/piece
cat > /etc/systemd/system/skep-worker.service <<'END'
[Service]
ExecStart=/usr/bin/skep worker --ec2 --manager %(managers)s --orphan-timeout %(orphan)s \
  --cores 1 --slots 1 --command piece=/usr/local/bin/piece
Restart=on-failure
RestartSec=2s
RestartPreventExitStatus=2 3
SuccessAction=poweroff
END
systemctl daemon-reload
systemctl enable --now skep-worker.service
"""
ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}
ALIVE = ("pending", "running", "shutting-down", "stopping", "stopped")


class Hive:
    """`types`: of its workers. `more`: arguments of its managers. `boot_timeout`: as long as a boot takes a busy machine, where none
    is to fail. The first manager is started by start()."""

    def __init__(self, lab, server, name, types, workers_max=3, more=(), managers=1, piece=0.4, list_lag="1s",
                 orphan_timeout="10m", worker_timeout="4s", lease="8s", boot_timeout="40s"):
        self.lab = lab
        self.server = server
        self.name = name
        self.workers_max = workers_max
        self.ports = [free_port() for _ in range(managers)]
        self.managers = []
        subnets = server.client("ec2").describe_subnets()["Subnets"]
        self.arguments = [
            "--provisioner", "ec2", "--ec2-cluster", name, "--ec2-worker-types", types, "--max-workers", str(workers_max),
            "--ec2-subnets", ",".join(sorted(subnet["SubnetId"] for subnet in subnets)), "--target-wait", "40s", "--idle-hold", "1s",
            "--ec2-list-lag", list_lag, "--ec2-boot-timeout", boot_timeout, "--heartbeat", "500ms",
            "--worker-timeout", worker_timeout, "--lease", lease, *more]
        self._make_templates(piece, orphan_timeout)
        server.advance(10)  # until they are seen

    def _make_templates(self, piece, orphan_timeout):
        urls = ",".join(f"http://127.0.0.1:{port}" for port in self.ports)
        words = {"managers": urls, "piece": piece, "orphan": orphan_timeout}
        script = base64.b64encode((USER_DATA % words).encode()).decode()
        for architecture, debian in ARCHITECTURES.items():
            image = self.server.client("ssm").get_parameter(Name=f"/aws/service/debian/release/12/latest/{debian}")
            self.server.client("ec2").create_launch_template(
                LaunchTemplateName=f"skep-{self.name}-worker-{architecture}", LaunchTemplateData={
                    "ImageId": image["Parameter"]["Value"], "UserData": script, "InstanceInitiatedShutdownBehavior": "terminate",
                    "MetadataOptions": {"HttpTokens": "required", "InstanceMetadataTags": "enabled"}})

    def start(self, index=0, directory=None):
        """A manager on the port of that number."""
        manager = self.lab.manager(self.arguments, directory=directory or self.lab.path(self.name), port=self.ports[index],
                                   environment=self.server.environment())
        self.managers.append(manager)
        return manager

    def http(self, index=0):
        return self.lab.keep(Http(f"127.0.0.1:{self.ports[index]}"))

    # ---- EC2's side ----

    def instances(self, states=ALIVE):
        """Those of this cluster in these states; None: all there ever were. id -> what the server tells."""
        return {ident: one for ident, one in self.server.state("instances").items()
                if one["tags"].get("skep:cluster") == self.name and (states is None or one["state"] in states)}

    def requests(self, operation):
        """The calls of this cluster's managers."""
        return [one for one in self.server.control("GET", "requests")
                if one.get("operation") == operation and f"'{self.name}'" in str(one.get("params"))]

    # ---- the manager's side ----

    def enqueue(self, pieces, hashes=8, index=0):
        """Tasks of both kinds. id -> the result that is right, as bytes."""
        http, wanted = self.http(index), {}
        for number in range(pieces + hashes):
            body = f"{self.name} {number}".encode()
            if number < pieces:
                path, result = "/v1/tasks?kind=command&program=piece", body
            else:
                path, result = "/v1/tasks?iterations=2000", reference(body, 2000).encode()
            answer = http.post(path, body)
            if answer.status != 200:
                raise AssertionError(f"{path}: {answer}")
            wanted[answer.json()["id"]] = result
        return wanted

    def done(self, index=0):
        return self.ask("/v1/cluster", index).get("tasks", {}).get("done", 0)

    def ask(self, path, index=0):
        """The answer's JSON; {} where there is no answer, or no good one."""
        http = Http(f"127.0.0.1:{self.ports[index]}", timeout=5)
        try:
            answer = http.get(path)
            return answer.json() if answer.status == 200 else {}
        except NoAnswer:
            return {}
        finally:
            http.close()

    def scaling(self, index=0):
        return self.ask("/v1/scaling", index).get("state", {})

    def leader(self, asked=0):
        """The number of the manager that leads, as that one says; None if it does not know."""
        address = self.scaling(asked).get("leader", "")
        return next((index for index, port in enumerate(self.ports) if address.endswith(f":{port}")), None)

    def workers(self, index=0):
        return self.ask("/v1/workers", index).get("workers", [])

    def wrong(self, wanted, index=0):
        """The tasks that have not the right result, and what they have."""
        http, found = self.http(index), {}
        for task, result in wanted.items():
            answer = http.get(f"/v1/tasks/{task}/result")
            if answer.status != 200 or answer.body.strip() != result:
                found[task] = answer
        return found
