# SPDX-License-Identifier: Apache-2.0
"""patroni.py - a PostgreSQL that survives its primary: three of etcd, Patroni and PostgreSQL, strictly synchronous.

Each of the three is a machine of networks.py with all three programs. The settings are those that make a failover
short: a leader's key lasts 5 s, a standby looks for its new primary each 200 ms.

Threads: the test's thread.
"""
import json
import os
import pwd
import shutil
import signal
import subprocess

import postgres
from harness import Http, NoAnswer, PATIENCE, Process, free_port, wait_until

START_SECONDS = 90.0


def why_not():
    """Why there can be none on this machine; "" if there can."""
    if postgres.why_not():
        return postgres.why_not()
    for program in ("patroni", "etcd", "setpriv", "psql"):
        if shutil.which(program) is None:
            return f"there is no {program}: ./dev deps test installs it"
    return "" if os.geteuid() == 0 else "only root runs its parts as the user postgres"


def as_postgres():
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


class Node:
    """One machine of the three."""

    def __init__(self, cluster, name):
        self.cluster = cluster
        self.name = name
        self.address = cluster.networks.addresses[name]
        self.directory = cluster.lab.path(name)
        self.data = os.path.join(self.directory, "data")
        self.ports = {part: free_port() for part in ("client", "peer", "rest", "postgres")}
        self.etcd = None
        self.patroni = None
        os.mkdir(self.directory, 0o700)
        os.chown(self.directory, pwd.getpwnam("postgres").pw_uid, -1)

    def url(self, part):
        return f"http://{self.address}:{self.ports[part]}"

    def start_etcd(self):
        peers = ",".join(f"{node.name}={node.url('peer')}" for node in self.cluster.nodes)
        self.etcd = self._start("etcd", [
            "etcd", "--name", self.name, "--data-dir", os.path.join(self.directory, "etcd"),
            "--listen-client-urls", self.url("client"), "--advertise-client-urls", self.url("client"),
            "--listen-peer-urls", self.url("peer"), "--initial-advertise-peer-urls", self.url("peer"),
            "--initial-cluster", peers, "--initial-cluster-state", "new", "--heartbeat-interval", "100",
            "--election-timeout", "1000", "--logger", "zap"])

    def start_patroni(self):
        path = os.path.join(self.directory, "patroni.json")
        with open(path, "w", encoding="ascii") as file:
            json.dump(self._settings(), file)
        os.chmod(path, 0o644)
        self.patroni = self._start("patroni", ["patroni", path])

    def _start(self, name, arguments):
        return Process(self.cluster.lab, f"{self.name}.{name}",
                       [*self.cluster.networks.prefix(self.name), *as_postgres(), *arguments])

    def _settings(self):
        rest = f"{self.address}:{self.ports['rest']}"
        server = f"{self.address}:{self.ports['postgres']}"
        return {
            "scope": "skep", "name": self.name,
            "restapi": {"listen": rest, "connect_address": rest},
            "etcd3": {"hosts": [f"{node.address}:{node.ports['client']}" for node in self.cluster.nodes]},
            "bootstrap": {
                "dcs": {"ttl": 5, "loop_wait": 1, "retry_timeout": 2, "synchronous_mode": True,
                        "synchronous_mode_strict": True,
                        "postgresql": {"use_pg_rewind": True,
                                       "parameters": {"wal_retrieve_retry_interval": "200ms", "max_connections": 100,
                                                      "shared_buffers": "32MB"}}},
                "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, "data-checksums", {"auth": "trust"}],
                "pg_hba": ["local all all trust", "host all all 0.0.0.0/0 trust", "host replication all 0.0.0.0/0 trust"],
            },
            "postgresql": {
                "listen": server, "connect_address": server, "data_dir": self.data, "bin_dir": postgres.programs(),
                "pgpass": os.path.join(self.directory, "pgpass"),
                "authentication": {"superuser": {"username": "postgres", "password": "trusted"},
                                   "replication": {"username": "replicator", "password": "trusted"},
                                   "rewind": {"username": "rewinder", "password": "trusted"}},
                "parameters": {"unix_socket_directories": self.directory},
            },
        }

    def server_pids(self):
        """Every process of its PostgreSQL: they work in the directory of its data."""
        found = []
        for name in os.listdir("/proc"):
            try:
                if name.isdigit() and os.readlink(f"/proc/{name}/cwd") == self.data:
                    found.append(int(name))
            except OSError:
                continue
        return found

    def kill_servers(self):
        """kill -9 of Patroni and of all of PostgreSQL."""
        if self.patroni is not None:
            self.patroni.kill()
        for pid in self.server_pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


class Patroni:
    def __init__(self, lab, networks, names):
        self.lab = lab
        self.networks = networks
        os.chmod(lab.directory, 0o755)
        self.nodes = []
        self.nodes += [Node(self, name) for name in names]
        for node in self.nodes:
            node.start_etcd()
        for node in self.nodes:
            node.start_patroni()
        self.wait_until_safe()
        primary = wait_until(self.primary, "there is a primary")
        self.ask(primary, "CREATE ROLE skep LOGIN")
        self.ask(primary, "CREATE DATABASE skep OWNER skep ENCODING 'UTF8' TEMPLATE template0")
        # libpq asks no other host where one says that there is no such database, as a standby that is behind does.
        for node in self.nodes:
            wait_until(lambda node=node: self.ask(node, "SELECT count(*) FROM pg_database WHERE datname = 'skep'") == "1",
                       f"{node.name} has the database")

    @property
    def url(self):
        hosts = ",".join(node.address for node in self.nodes)
        ports = ",".join(str(node.ports["postgres"]) for node in self.nodes)
        return (f"postgresql://skep@/skep?host={hosts}&port={ports}&connect_timeout=2&keepalives_idle=1"
                "&keepalives_interval=1&keepalives_count=2&tcp_user_timeout=2000")

    def members(self):
        """Name -> (role, state), as the first Patroni that answers has it."""
        for node in self.nodes:
            http = Http(f"{node.address}:{node.ports['rest']}", timeout=1)
            try:
                answer = http.get("/cluster")
                return {member["name"]: (member["role"], member["state"]) for member in answer.json().get("members", [])}
            except (NoAnswer, ValueError):
                continue
            finally:
                http.close()
        return {}

    def node_of(self, role):
        """The one that has the role now; None if there is none."""
        members = self.members()
        return next((node for node in self.nodes if members.get(node.name, ("", ""))[0] == role), None)

    def primary(self):
        return self.node_of("leader")

    def is_safe(self):
        """There is a primary with a synchronous standby, and all three run."""
        members = self.members()
        roles = sorted(role for role, state in members.values() if state in ("running", "streaming"))
        return len(roles) == len(self.nodes) and "leader" in roles and "sync_standby" in roles

    def wait_until_safe(self):
        wait_until(self.is_safe, f"Patroni has a primary and a synchronous standby: {self.members()}", START_SECONDS)

    def ask(self, node, sql):
        """The answer of one PostgreSQL as text."""
        asked = subprocess.run(["psql", "-h", node.address, "-p", str(node.ports["postgres"]), "-U", "postgres", "-AtXq",
                                "-d", "postgres", "-c", sql], capture_output=True, timeout=PATIENCE, check=True,
                               env=self.lab.environment())
        return asked.stdout.decode().strip()

    def repair(self):
        """Starts again what does not run."""
        for node in self.nodes:
            if not node.etcd.is_running():
                node.start_etcd()
            if not node.patroni.is_running():
                node.start_patroni()

    def close(self):
        for node in self.nodes:
            node.kill_servers()
            if node.etcd is not None:
                node.etcd.kill()
