# SPDX-License-Identifier: Apache-2.0
"""Goal: the package that `./dev package` makes is one that Debian's tools accept, that installs, runs and goes away.

Method: CPack, lintian, systemd-analyze; the manual and the completion held against --help; as root, on a machine where
skep is not installed: dpkg -i, the services' own command lines as their own user, remove, purge. And on an instance
of the fault server (test/aws), by user data.
"""
import glob
import gzip
import os
import pwd
import re
import shutil
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../process"), os.path.join(HERE, "../aws")]

from harness import BIN, Http, Lab, NoAnswer, Process, reference, subcommands, wait_until  # noqa: E402
from units import Unit  # noqa: E402

try:
    from fault_server import FaultServer
except ImportError:  # without botocore
    FaultServer = None

BUILD = os.environ.get("SKEP_BUILD_DIR") or os.path.join(HERE, "../../build")
SERVICES = ("skep-manager", "skep-worker")
# Of 100 points of exposure, as systemd-analyze counts them. A service without any protection has 96.
EXPOSURE_MAX = 20


def run(*arguments, **kwargs):
    return subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=200, check=False, **kwargs)


LAB = Lab()


def setUpModule():
    """Makes the package once, and unpacks it into the directory root."""
    unittest.addModuleCleanup(LAB.close)
    done = run("cpack", "--config", os.path.join(BUILD, "CPackConfig.cmake"), "-B", LAB.path("out"))
    assert done.returncode == 0 and len(packages()) == 1, done.stdout.decode()
    subprocess.run(["dpkg-deb", "-x", packages()[0], LAB.path("root")], check=True, timeout=60)


def packages():
    return glob.glob(LAB.path("out", "*.deb"))


class PackageTest(unittest.TestCase):
    def setUp(self):
        self.lab, self.package, self.root = LAB, packages()[0], LAB.path("root")

    def succeeds(self, *arguments, **kwargs):
        done = run(*arguments, **kwargs)
        self.assertEqual(done.returncode, 0, f"{' '.join(arguments)}: {done.stdout.decode()}")
        return done.stdout.decode()

    def read(self, *path):
        with open(os.path.join(self.root, *path), "rb") as file:
            data = file.read()
        return (gzip.decompress(data) if path[-1].endswith(".gz") else data).decode()


class Contents(PackageTest):
    @unittest.skipUnless(shutil.which("lintian"), "lintian is not installed")
    def test_lintian_has_nothing_to_say(self):
        text = self.succeeds("lintian", "--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0", self.package)
        self.assertEqual(text.strip(), "")

    def test_the_manual_and_the_completion_know_every_command_and_flag(self):
        manual = self.read("usr/share/man/man1/skep.1.gz").replace("\\-", "-")
        completion = self.read("usr/share/bash-completion/completions/skep")
        self.assertGreater(len(subcommands()), 10)
        for command in subcommands():
            text = self.succeeds(BIN, command, "--help")
            part = re.search(rf"\.SS {command}\n(.*?)(?=\n\.S[SH])", manual, re.S)
            words = re.search(rf"^    {command}\) words='(.*)' ;;$", completion, re.M)
            self.assertTrue(part and words, command)
            for flag in re.findall(r"^  (?:-\w,)?(--[\w-]+)", text, re.M):
                self.assertIn(flag, words[1].split(), command)
                if flag != "--help":
                    self.assertIn(f"\\fB{flag}\\fR", part[1], command)

    def test_the_completion_completes(self):
        script = os.path.join(self.root, "usr/share/bash-completion/completions/skep")
        for line, wanted in (("skep man", ["manager"]), ("skep manager --prov", ["--provisioner"]),
                             ("skep token create --role wo", ["worker"]), ("skep explain sc", ["scaling"])):
            words = " ".join(line.split())
            text = self.succeeds("bash", "-c", f'source {script}; COMP_WORDS=({words}); COMP_CWORD={len(line.split()) - 1}; _skep; '
                                 'echo "${COMPREPLY[@]}"')
            self.assertEqual(text.split(), wanted, line)

    def test_the_program_finds_its_libraries_in_the_package_or_in_what_it_depends_on(self):
        depends = self.succeeds("dpkg-deb", "-f", self.package, "Depends")
        named = {re.split(r"[ (:]", one.strip())[0] for one in depends.split(",")}
        program = os.path.join(self.root, "usr/bin/skep")
        self.assertIn("skep ", self.succeeds(program, "version"))
        paths = [path for path in re.findall(r"=> (/\S+)", self.succeeds("ldd", program))
                 if not os.path.realpath(path).startswith(os.path.realpath(self.root))]
        self.assertGreater(len(paths), 3)
        allowed = self.closure(named)
        for line in self.succeeds("dpkg", "-S", *["*/" + os.path.basename(path) for path in paths]).splitlines():
            owner, _, file = line.partition(": ")
            if file in paths or "/usr" + file in paths or file.removeprefix("/usr") in paths:
                self.assertIn(owner.partition(":")[0], allowed, f"nothing that the package depends on has {file}")

    def closure(self, named):
        """The packages named, and those that they depend on, and so on."""
        known, front = set(named), set(named)
        while front:
            text = run("dpkg-query", "-W", "-f", "${Depends},${Pre-Depends},", *sorted(front)).stdout.decode()
            front = {re.split(r"[ (:|]", one.strip())[0] for one in text.split(",") if one.strip()} - known
            known |= front
        return known

    def test_the_settings_are_those_of_the_program(self):
        for command in ("manager", "worker"):
            self.succeeds(BIN, command, "--config", os.path.join(self.root, "etc/skep/skep.toml"), "--check-config",
                          env={"PATH": os.environ["PATH"]})

    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd is not installed")
    def test_the_services_are_well_protected(self):
        for name in SERVICES:
            unit = os.path.join(self.root, f"lib/systemd/system/{name}.service")
            self.succeeds("systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE_MAX}", unit)


USER_DATA = """#!/bin/sh
set -eu
until aws s3 cp s3://packages/skep.deb /tmp/skep.deb; do sleep 5; done
apt-get install -y /tmp/skep.deb
sed -i 's/127.0.0.1:8080/0.0.0.0:8080/; s/^provisioner/insecure = true\\nprovisioner/' /etc/skep/skep.toml
systemctl enable --now skep-manager.service
"""


@unittest.skipUnless(FaultServer, "python3-botocore is not installed")
class OnAnInstance(PackageTest):
    def test_user_data_installs_the_package_and_starts_its_service(self):
        server = FaultServer(self.lab, ["--rate", "40"])
        server.profile("machine", {"Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}})
        s3, ec2 = server.client("s3"), server.client("ec2")
        s3.create_bucket(Bucket="packages", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        with open(self.package, "rb") as file:
            s3.put_object(Bucket="packages", Key="skep.deb", Body=file.read())
        made = ec2.run_instances(ImageId=server.image(), InstanceType="c5.large", MinCount=1, MaxCount=1, UserData=USER_DATA,
                                 IamInstanceProfile={"Name": "machine"})["Instances"][0]
        http = self.lab.keep(Http(f"{made['PrivateIpAddress']}:8080"))

        def is_ready():
            try:
                return http.get("/readyz").status == 200
            except NoAnswer:
                return False
        try:
            wait_until(is_ready, "the manager is ready", 40)
        except AssertionError as error:
            self.fail(f"{error}\n{server.control('GET', 'console/' + made['InstanceId'])['console']}")
        self.assertTrue(self.runs_its_own_program(made["PrivateIpAddress"]))
        self.assertEqual(server.violations(), [])

    def runs_its_own_program(self, address):
        """Whether a process of the instance runs what was unpacked there."""
        for pid in self.lab.survivors():
            with open(f"/proc/{pid}/environ", "rb") as file:
                is_there = f"SKEP_TEST_ADDRESS={address}".encode() in file.read().split(b"\0")
            if is_there and re.search(r"/machines-[\w-]+/i-\w+/usr/bin/skep$", os.readlink(f"/proc/{pid}/exe")):
                return True
        return False


def is_installed():
    return run("dpkg-query", "-W", "skep").returncode == 0 or shutil.which("skep") is not None


@unittest.skipIf(os.getuid() != 0, "only root can install a package")
@unittest.skipIf(is_installed(), "skep is installed on this machine, and stays so")
class Installed(PackageTest):
    def setUp(self):
        super().setUp()
        self.addCleanup(run, "dpkg", "--purge", "skep")
        self.succeeds("dpkg", "-i", self.package)

    def start(self, name, **environment):
        """The service's command line, as its user, on any free port; in its state directory."""
        unit = Unit("/", "/nonexistent", name)
        arguments, _ = unit.commands("ExecStart", {})[0]
        state = "/var/lib/skep"
        if not os.path.isdir(state):
            os.mkdir(state, 0o750)
            shutil.chown(state, "skep", "skep")
        user = unit.last("User")
        process = Process(self.lab, name, ["setpriv", f"--reuid={user}", f"--regid={unit.last('Group')}", "--init-groups",
                                           *arguments], {"HOME": state, **environment})
        return process

    def test_it_is_installed_upgraded_runs_and_goes_away(self):
        self.assertEqual(os.stat("/etc/skep/skep.toml").st_mode & 0o777, 0o640)
        self.assertEqual(pwd.getpwnam("skep").pw_dir, "/var/lib/skep")
        if shutil.which("systemd-analyze"):
            for name in SERVICES:
                text = self.succeeds("systemd-analyze", "verify", "--man=yes", f"/lib/systemd/system/{name}.service")
                self.assertNotIn("skep", text)
        self.upgrade()
        self.compute()
        self.succeeds("dpkg", "--remove", "skep")
        self.assertTrue(os.path.isdir("/var/lib/skep/store"), "removing keeps the store")
        self.assertTrue(os.path.exists("/etc/skep/skep.toml"), "removing keeps the settings")
        self.assertFalse(os.path.exists("/usr/bin/skep"))
        self.succeeds("dpkg", "--purge", "skep")
        for path in ("/var/lib/skep", "/etc/skep", "/usr/lib/skep", "/lib/systemd/system/skep-manager.service"):
            self.assertFalse(os.path.exists(path), path)
        self.assertRaises(KeyError, pwd.getpwnam, "skep")

    def upgrade(self):
        """The settings stay as they were made."""
        with open("/etc/skep/skep.toml", "a", encoding="utf-8") as file:
            file.write("# mine\n")
        os.chmod("/etc/skep/skep.toml", 0o440)
        self.succeeds("dpkg", "-i", "--force-confold", self.package)
        with open("/etc/skep/skep.toml", encoding="utf-8") as file:
            self.assertTrue(file.read().endswith("# mine\n"))
        self.assertEqual(os.stat("/etc/skep/skep.toml").st_mode & 0o777, 0o440)

    def compute(self):
        """A task through both services."""
        manager = self.start("skep-manager", SKEP_LISTEN="127.0.0.1:0")
        address = manager.wait_for_first_line().split()[-1]
        worker = self.start("skep-worker", SKEP_MANAGER=f"http://{address}")
        http = self.lab.keep(Http(address))
        task = http.post("/v1/tasks?iterations=10", b"packaged").json()["id"]
        self.assertEqual(http.get(f"/v1/tasks/{task}?wait=30s").json()["result"], reference(b"packaged", 10))
        self.assertEqual([process.terminate()[0] for process in (worker, manager)], [0, 0])


if __name__ == "__main__":
    unittest.main()
