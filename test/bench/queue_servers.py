# SPDX-License-Identifier: Apache-2.0
"""queue_servers.py - the servers of `./dev bench queue`: each started alone, on fresh data, with what its own documents advise.

A server's whole world is a Lab: a directory on the disk that is measured, and a mark in the environment of every process
that it starts. What each does before it acknowledges stands in its `durability`.
"""
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "process"))
from harness import BIN, Lab, Process, free_port, wait_until  # noqa: E402  (its place is known only now)

TICKS = os.sysconf("SC_CLK_TCK")
STOP_SECONDS = 30
START_SECONDS = 120
LOCALHOST = "127.0.0.1"


def as_user(name):
    """What goes before a command so that root starts it as the package's own user. Nothing for others than root."""
    if os.getuid() != 0:
        return []
    return ["setpriv", f"--reuid={name}", f"--regid={pwd.getpwnam(name).pw_gid}", "--init-groups"]


def output_of(arguments):
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=START_SECONDS)
    return done.stdout.strip() or done.stderr.strip()


class Server:
    """One server from start() to stop()."""

    name = ""
    driver = ""  # what the C++ program calls it, if that is not its name
    program = ""  # its executable; the peer is left out where there is none
    durability = ""
    is_synced = True  # what it acknowledged outlives a loss of power
    driven = ""  # how the driver asks it
    hello = (b"", b"")  # what to send it, and how its answer begins when it is ready
    end = signal.SIGTERM

    def __init__(self, directory):
        self.lab = Lab(directory)
        os.chmod(self.lab.directory, 0o755)  # other users' servers have their directories in it
        self.data = self.lab.path("data")
        os.mkdir(self.data)
        self.port = 0
        self.process = None

    @classmethod
    def is_there(cls):
        return shutil.which(cls.program) is not None

    @classmethod
    def version(cls):
        raise NotImplementedError

    def arguments(self):
        raise NotImplementedError

    def environment(self):
        return {}

    def start(self):
        self.port = free_port()
        self.process = self.run(self.arguments())
        wait_until(self.answers, f"{self.name} answers", START_SECONDS)
        return self

    def run(self, arguments, stdin=None):
        return Process(self.lab, self.name, arguments, self.environment(), stdin)

    def answers(self):
        if not self.process.is_running():
            raise AssertionError(f"{self.name} has ended: {self.process.log()}")
        request, expected = self.hello
        try:
            with socket.create_connection((LOCALHOST, self.port), timeout=5) as connection:
                connection.sendall(request)
                return connection.recv(len(expected)) == expected
        except OSError:
            return False

    def stop(self):
        self.process.signal(self.end)
        try:
            self.process.wait(STOP_SECONDS)
        except AssertionError:
            pass  # its data is of no use any more: what does not end is killed
        self.lab.close()

    def cpu_seconds(self):
        """Of all its processes, and of those of their children that have ended."""
        return sum(cpu_of(pid) for pid in self.pids())

    def memory_bytes(self):
        """Of all its processes, what they share counted once."""
        return sum(memory_of(pid) for pid in self.pids())

    def pids(self):
        """Those with the lab's mark, which finds daemons, and the tree below the first, as some write over their mark."""
        return {*self.lab.survivors(), *tree_of(self.process.pid, parents())}


def parents():
    """Process -> its parent, of all that run."""
    out = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as file:
                out[int(name)] = int(file.read().rpartition(")")[2].split()[1])
        except OSError:
            pass  # it has just ended
    return out


def tree_of(root, parent_of):
    """`root` and all below it."""
    found, more = set(), {root}
    while more:
        found |= more
        more = {pid for pid, parent in parent_of.items() if parent in more} - found
    return found


def cpu_of(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(each) for each in fields[11:15]) / TICKS


def memory_of(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0


class Skep(Server):
    name = "skep"
    engine = "rocksdb"
    program = BIN
    durability = "fdatasync before each answer, shared by the requests that wait; keeps the result of 64 bytes too"
    driven = "HTTP/1.1: one a request by POST /v1/tasks, more by tasks:batch; leases in protobuf"

    @classmethod
    def version(cls):
        return output_of([BIN, "--version"])

    def start(self):
        self.process = self.run([BIN, "manager", "--listen", f"{LOCALHOST}:0", "--provisioner", "none", "--store",
                                 f"{self.engine}:{self.data}"])
        self.port = port_in(self.process)
        return self


class SkepLog(Skep):
    name = "skep-log"
    driver = "skep"
    engine = "log"


class BareHttp(Server):
    name = "bare-http"
    program = BIN
    is_synced = False
    durability = "none: skep's HTTP layer, the same requests and answers, no queue and no store"
    driven = "as skep"
    bench = ""  # the program that has it

    @classmethod
    def version(cls):
        return ""

    def start(self):
        self.process = self.run([self.bench, "bare-http"], stdin=subprocess.PIPE)
        self.port = port_in(self.process)
        return self

    def stop(self):
        self.process.popen.stdin.close()
        super().stop()


def port_in(process):
    line = process.wait_for_first_line()
    if not line.startswith("listening on "):
        raise AssertionError(f"{process.name} did not come up: {line!r}; {process.log()}")
    return int(line.rpartition(":")[2])


class Redis(Server):
    """Redis' page on persistence: appendfsync always is the mode that loses nothing; one sync serves all that was carried out
    in one turn of its loop. Snapshots add nothing to it. The file is rewritten when it has doubled, though not below 1 GB: the
    default of 64 MB would be met several times a second by what is measured here."""

    name = "redis"
    program = "redis-server"
    durability = "appendonly, appendfsync always: fdatasync before the answers of each turn of its loop"
    driven = "hiredis, pipelined: XADD, of a lone connection in MULTI and EXEC; XREADGROUP COUNT; XACK and XDEL"
    hello = (b"PING\r\n", b"+PONG")

    @classmethod
    def version(cls):
        return output_of([cls.program, "--version"]).split("v=")[1].split()[0]

    def arguments(self):
        return [self.program, "--port", str(self.port), "--bind", LOCALHOST, "--dir", self.data, "--save", "",
                "--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-min-size", "1gb"]


class Nats(Server):
    """NATS' page on JetStream: file storage for what is to outlive the server. 2.9 has no setting by which it would sync
    before it acknowledges: it does every two minutes (sync_interval), and says so."""

    name = "nats"
    program = "nats-server"
    is_synced = False
    durability = "written to the file system before the answer; fdatasync only every two minutes: not of power loss"
    driven = "nats.c: js_Publish, or js_PublishAsync and a wait for all; pull consumer, Fetch; Ack, the last as AckSync"
    hello = (b"", b"INFO ")

    @classmethod
    def version(cls):
        return output_of([cls.program, "--version"]).split()[-1].removeprefix("v")

    def arguments(self):
        return [self.program, "-a", LOCALHOST, "-p", str(self.port), "-js", "-sd", self.data]


class Rabbitmq(Server):
    """RabbitMQ's pages on quorum queues and on confirms: the queue to use where messages must not be lost; a confirm is sent
    when a majority has them on disk, and here the one node is that. Its settings are the defaults, but that Erlang's
    schedulers do not wait busily, as its page on the runtime advises where others need the cores."""

    name = "rabbitmq"
    program = "/usr/lib/rabbitmq/bin/rabbitmq-server"
    durability = "quorum queue of one node: its log has fdatasync before the confirm, shared by what waits; acks have no answer"
    driven = "librabbitmq: publish, wait for the confirms; consumer with prefetch; basic.ack, multiple for several"
    hello = (b"AMQP\x00\x00\x09\x01", b"\x01\x00\x00")
    user = "rabbitmq"

    @classmethod
    def version(cls):
        return output_of(["dpkg-query", "-W", "-f", "${source:Upstream-Version}", "rabbitmq-server"])

    def arguments(self):
        if os.getuid() == 0:
            shutil.chown(self.data, self.user, self.user)
        return [*as_user(self.user), self.program]

    def environment(self):
        # A node of its own, with its own name service: nothing is shared with one that may run already.
        return {"RABBITMQ_NODENAME": "bench@localhost", "RABBITMQ_NODE_IP_ADDRESS": LOCALHOST,
                "RABBITMQ_NODE_PORT": str(self.port), "RABBITMQ_DIST_PORT": str(free_port()), "ERL_EPMD_PORT": str(free_port()),
                "ERL_EPMD_ADDRESS": LOCALHOST, "RABBITMQ_MNESIA_BASE": os.path.join(self.data, "mnesia"),
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
                "RABBITMQ_LOG_BASE": self.data, "RABBITMQ_LOGS": "-", "HOME": self.data,
                "RABBITMQ_CONF_ENV_FILE": os.path.join(self.data, "none"), "RABBITMQ_CONFIG_FILE": os.path.join(self.data, "none"),
                "RABBITMQ_ENABLED_PLUGINS_FILE": os.path.join(self.data, "plugins")}


class Postgresql(Server):
    """PostgreSQL's chapter on resources: shared_buffers of a quarter of the memory, and more WAL between checkpoints than the
    default where much is written. synchronous_commit and fsync are on. Vacuum looks more often than once a minute, as its
    chapter advises for tables whose rows change all the time, and does not pause."""

    name = "postgresql"
    program = "/usr/lib/postgresql/15/bin/postgres"
    durability = "synchronous_commit: the WAL has fdatasync before a commit is answered, shared by commits that wait"
    driven = "libpq: prepared INSERT of all rows; BEGIN and DELETE .. FOR UPDATE SKIP LOCKED in one pipeline; COMMIT"
    user = "postgres"
    end = signal.SIGINT  # its fast shutdown
    settings = {"fsync": "on", "synchronous_commit": "on", "max_wal_size": "4GB", "autovacuum_naptime": "5s",
                "autovacuum_vacuum_cost_delay": "0", "listen_addresses": LOCALHOST}

    @classmethod
    def version(cls):
        return output_of([cls.program, "--version"]).split()[2]

    def arguments(self):
        cluster = os.path.join(self.data, "cluster")
        if os.getuid() == 0:
            shutil.chown(self.data, self.user, self.user)
        initdb = os.path.join(os.path.dirname(self.program), "initdb")
        output_of([*as_user(self.user), initdb, "-D", cluster, "-U", "postgres", "--auth=trust", "--locale=C", "-E", "UTF8"])
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        settings = {**self.settings, "port": self.port, "unix_socket_directories": self.data,
                    "shared_buffers": f"{memory // 4 // 2**20}MB"}
        return [*as_user(self.user), self.program, "-D", cluster,
                *[word for name, value in settings.items() for word in ("-c", f"{name}={value}")]]

    def answers(self):
        if not self.process.is_running():
            raise AssertionError(f"{self.name} has ended: {self.process.log()}")
        done = subprocess.run(["pg_isready", "-q", "-h", LOCALHOST, "-p", str(self.port)], timeout=START_SECONDS, check=False)
        return done.returncode == 0


class SkepPostgres(Postgresql):
    """The same PostgreSQL, with the managers on it that share its shards. docs/postgres.md asks nothing more of the server."""

    name = "skep-postgres"
    driver = "skep"
    durability = "PostgreSQL's: one commit, with one fdatasync, for the requests that wait; keeps the result of 64 bytes too"
    driven = Skep.driven
    managers = 1

    @classmethod
    def is_there(cls):
        return super().is_there() and Skep.is_there()

    @classmethod
    def version(cls):
        return f"{Skep.version()}, PostgreSQL {super().version()}"

    def start(self):
        super().start()
        self.database = f"postgres://postgres@{LOCALHOST}:{self.port}/postgres"
        self.ports, self.processes = [], []
        for _ in range(self.managers):
            process = self.run([BIN, "manager", "--listen", f"{LOCALHOST}:0", "--provisioner", "none", "--store", self.database])
            self.processes.append(process)
            self.ports.append(port_in(process))
        self.port = self.ports[0]
        return self

    def ask(self, sql):
        """The database's answer: rows on lines, columns with '|' between."""
        return output_of([os.path.join(os.path.dirname(self.program), "psql"), "-d", self.database, "-AtXq", "-c", sql])

    def wait_until_shared(self):
        """Every manager has its part of the shards."""
        sql = "SELECT count(DISTINCT owner), count(*) FILTER (WHERE owner IS NULL), max(n) - min(n) <= 1 FROM (SELECT owner, " \
              "count(*) OVER (PARTITION BY owner) AS n FROM skep.shards) AS owners"
        wait_until(lambda: self.ask(sql) == f"{self.managers}|0|t", "the managers share the shards", START_SECONDS)

    def pids(self):
        out = super().pids()
        for process in self.processes:
            out |= tree_of(process.pid, parents())
        return out

    def stop(self):
        for process in getattr(self, "processes", []):
            process.signal(signal.SIGTERM)
        for process in getattr(self, "processes", []):
            try:
                process.wait(STOP_SECONDS)
            except AssertionError:
                pass
        super().stop()


class Beanstalkd(Server):
    """Its manual: -b keeps a log, -f0 syncs each write before it is answered; -z lets bodies be larger than 65,535 bytes."""

    name = "beanstalkd"
    program = "beanstalkd"
    durability = "-b DIR -f0: fsync of its log for each command, alone"
    driven = "a socket: put, reserve-with-timeout, delete; several are pipelined"
    hello = (b"stats\r\n", b"OK ")

    @classmethod
    def version(cls):
        return output_of([cls.program, "-v"]).split()[-1]

    def arguments(self):
        return [self.program, "-l", LOCALHOST, "-p", str(self.port), "-b", self.data, "-f", "0", "-z", str(2**20)]


SERVERS = (Skep, SkepLog, SkepPostgres, Redis, Nats, Rabbitmq, Postgresql, Beanstalkd, BareHttp)
