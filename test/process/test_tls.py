# SPDX-License-Identifier: Apache-2.0
"""TLS with real processes: an authority of one's own, certificates that change, workers and commands that check them."""
import os
import shutil
import socket
import ssl
import subprocess
import unittest
import warnings

from harness import BIN, PATIENCE, ProcessTest, QUICK, Process, wait_until

EXIT_DENIED = 3


class Tls(ProcessTest):
    def start(self, *arguments, command="manager", listen="127.0.0.1:0"):
        self.manager = Process(self.lab, command, [BIN, command, "--listen", listen, "--store",
                                                   f"rocksdb:{self.lab.path('store')}", *QUICK, *arguments])
        line = self.manager.wait_for_first_line()
        self.assertTrue(line.startswith("listening on "), line + self.manager.log())
        self.port = int(line.rpartition(":")[2])
        self.url = f"https://127.0.0.1:{self.port}"

    @property
    def ca(self):
        return self.lab.path("store", "tls", "ca.pem")

    def skep(self, *arguments, code=0, environment=None):
        ended = self.lab.run(*arguments, environment=environment)
        self.assertEqual(ended.returncode, code, f"{arguments[:2]}: {ended.stderr.decode()}")
        return ended.stdout.decode() + ended.stderr.decode()

    def curl(self, *arguments, code=0):
        ended = subprocess.run(["curl", "-sS", "--max-time", "20", *arguments], capture_output=True, timeout=PATIENCE,
                               check=False)
        self.assertEqual(ended.returncode, code, ended)
        return ended.stdout

    def serial(self):
        """Of the certificate that a new connection gets."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as plain, \
                context.wrap_socket(plain) as connection:
            return connection.getpeercert(binary_form=True)

    def shake_hands(self, version):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            context.minimum_version = context.maximum_version = version
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as plain, \
                context.wrap_socket(plain) as connection:
            return connection.version()


class OwnAuthority(Tls):
    def test_tls_auto_serves_curl_commands_and_workers(self):
        self.start("--tls", "auto", "--min-workers", "1", "--max-workers", "1", command="up")
        self.assertIn(b"ok", self.curl("--cacert", self.ca, f"{self.url}/healthz"))
        self.assertIn(b"ok", self.curl("--cacert", self.ca, f"https://localhost:{self.port}/healthz"))
        self.curl(f"{self.url}/healthz", code=60)
        path = self.lab.path("input")
        with open(path, "wb") as file:
            file.write(os.urandom(700_000))
        self.assertIn(path, self.skep("enqueue", path, "--iterations", "3", "--wait", "--manager", self.url, "--ca", self.ca))
        worker = self.lab.worker(self.url, ["--ca", self.ca])
        wait_until(lambda: "registered" in worker.log(), "a worker from outside")
        self.assertIn(" active with", self.skep("status", "--manager", self.url, environment={"SKEP_CA": self.ca}))
        for name in ("ca.key", "server.pem"):
            self.assertEqual(os.stat(self.lab.path("store", "tls", name)).st_mode & 0o777, 0o600)
        self.assertEqual(self.manager.terminate()[0], 0)
        with open(self.ca, "rb") as file:
            before = file.read()
        self.start("--tls", "auto")
        with open(self.ca, "rb") as file:
            self.assertEqual(file.read(), before, "it is made once")

    def test_versions_before_1_2_are_refused(self):
        self.start("--tls", "auto")
        self.assertEqual(self.shake_hands(ssl.TLSVersion.TLSv1_2), "TLSv1.2")
        self.assertEqual(self.shake_hands(ssl.TLSVersion.TLSv1_3), "TLSv1.3")
        for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            with self.assertRaises(ssl.SSLError):
                self.shake_hands(version)

    def test_who_does_not_trust_it_sends_nothing(self):
        self.start("--tls", "auto")
        said = self.skep("status", "--manager", self.url, code=EXIT_DENIED)
        self.assertIn("--ca", said)
        self.skep("status", "--manager", f"http://127.0.0.1:{self.port}", code=2)
        worker = self.lab.worker(self.url, [])
        self.assertEqual(worker.wait(), EXIT_DENIED, worker.log())
        self.skep("status", "--manager", self.url, "--ca", self.lab.path("missing"), code=2)

    def test_tokens_and_tls_together_on_every_address(self):
        token = self.skep("token", "create", "--role", "client", "--store", f"rocksdb:{self.lab.path('store')}").split()[0]
        self.start("--tls", "auto", "--min-workers", "1", "--max-workers", "1", command="up", listen="0.0.0.0:0")
        self.assertNotIn("tokens go over the wire", self.manager.log())
        environment = {"SKEP_TOKEN": token, "SKEP_CA": self.ca, "SKEP_MANAGER": self.url}
        self.skep("enqueue", BIN, "--iterations", "3", code=2, environment=environment)  # larger than a body may be
        path = self.lab.path("input")
        with open(path, "wb") as file:
            file.write(b"a body")
        self.skep("enqueue", path, "--iterations", "3", "--wait", environment=environment)
        self.skep("status", code=EXIT_DENIED, environment={**environment, "SKEP_TOKEN": ""})


class Files(Tls):
    def make(self, name):
        """Another authority, made by a manager of its own."""
        store = self.lab.path(f"store-{name}")
        other = Process(self.lab, "manager", [BIN, "manager", "--listen", "127.0.0.1:0", "--store", f"rocksdb:{store}",
                                              "--tls", "auto"])
        other.wait_for_first_line()
        other.terminate()
        return os.path.join(store, "tls")

    def install(self, source, target):
        shutil.copy(source, target + ".new")
        os.rename(target + ".new", target)

    def test_a_certificate_that_changes_is_used_without_a_restart_by_server_and_clients(self):
        first, second = self.make("first"), self.make("second")
        certificate, ca = self.lab.path("server.pem"), self.lab.path("ca.pem")
        self.install(f"{first}/server.pem", certificate)
        self.install(f"{first}/ca.pem", ca)
        self.start("--tls-cert", certificate, "--min-workers", "1", "--max-workers", "1", command="up")
        before = self.serial()
        worker = self.lab.worker(self.url, ["--ca", ca])
        wait_until(lambda: "registered" in worker.log(), "the worker")
        self.install(f"{second}/server.pem", certificate)
        self.assertNotEqual(self.serial(), before)
        self.curl("--cacert", f"{second}/ca.pem", f"{self.url}/healthz")
        self.curl("--cacert", f"{first}/ca.pem", f"{self.url}/healthz", code=60)
        with open(certificate, "w", encoding="ascii") as file:
            file.write("half of a")
        self.curl("--cacert", f"{second}/ca.pem", f"{self.url}/healthz")
        self.assertIn("the new certificate is not used", self.manager.log())
        # Work goes on: over what stands, and over new connections of those whose file has changed, too.
        self.install(f"{second}/server.pem", certificate)
        self.install(f"{second}/ca.pem", ca)
        path = self.lab.path("input")
        with open(path, "wb") as file:
            file.write(b"a body")
        self.skep("enqueue", path, "--iterations", "3", "--wait", "--manager", self.url, "--ca", ca)
        self.assertTrue(worker.is_running())

    def test_what_can_not_be_served_with_is_refused_at_the_start(self):
        first, second = self.make("first"), self.make("second")
        for flags, said in ((["--tls-cert", self.lab.path("none")], "no such file"),
                            (["--tls-cert", f"{first}/server.pem", "--tls-key", f"{second}/server.pem"], "no key"),
                            (["--tls-cert", f"{first}/ca.pem"], "no key"), (["--tls-key", f"{first}/server.pem"], "--tls-cert"),
                            (["--tls", "auto", "--tls-cert", f"{first}/server.pem"], "one of them"),
                            (["--tls", "auto", "memory:"], "--tls-dir")):
            for check in ([], ["--check-config"]):
                store = "memory:" if "memory:" in flags else f"rocksdb:{self.lab.path('store')}"
                ended = self.lab.run("manager", "--listen", "127.0.0.1:0", "--store", store,
                                     *[flag for flag in flags if flag != "memory:"], *check)
                self.assertEqual(ended.returncode, 2, (flags, ended))
                self.assertIn(said, ended.stderr.decode())
                self.assertEqual(ended.stderr.count(b"\n"), 1, ended.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
