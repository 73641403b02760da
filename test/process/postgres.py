# SPDX-License-Identifier: Apache-2.0
"""postgres.py - a PostgreSQL of a test's own: made from nothing in the lab's directory, killed with the lab.

It listens on a socket in its directory only, or with TLS at a port of localhost, too. As root it runs as the user
postgres, which it insists on.

Threads: the test's thread.
"""
import glob
import os
import pwd
import subprocess

from harness import PATIENCE, Process, free_port, wait_until

SETTINGS = "fsync = off\nfull_page_writes = off\nmax_connections = 80\nlogging_collector = off\n"


def programs():
    """The directory of the newest server's programs; None if there is none."""
    found = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    newest = sorted(found, key=lambda path: int(path.split("/")[4]))
    return os.path.dirname(newest[-1]) if newest else None


def why_not():
    """Why there can be none on this machine; "" if there can."""
    if programs() is None:
        return "there is no initdb in /usr/lib/postgresql/*/bin: install postgresql-15"
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        return "there is no user postgres, and root may not run it" if os.geteuid() == 0 else ""
    return ""


class Postgres:
    """`user`: its superuser. Without `has_tls` whoever reaches the socket may do anything, in a database `skep`."""

    def __init__(self, lab, user="skep", has_tls=False):
        self.lab = lab
        self.user = user
        self.directory = lab.path("postgres")
        self.port = free_port() if has_tls else 5432
        os.mkdir(self.directory)
        prefix = []
        if os.geteuid() == 0:
            os.chmod(lab.directory, 0o755)
            os.chown(self.directory, pwd.getpwnam("postgres").pw_uid, -1)
            prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        data = os.path.join(self.directory, "data")
        subprocess.run([*prefix, f"{programs()}/initdb", "-D", data, "-U", user, "-E", "UTF8", "--locale=C", "-A", "trust",
                        "-N"], check=True, capture_output=True, timeout=PATIENCE, env=lab.environment())
        with open(os.path.join(data, "postgresql.conf"), "a", encoding="ascii") as file:
            file.write(f"unix_socket_directories = '{self.directory}'\nport = {self.port}\n{SETTINGS}")
            file.write(self._tls_settings(data) if has_tls else "listen_addresses = ''\n")
        self.process = Process(lab, "postgres", [*prefix, f"{programs()}/postgres", "-D", data])
        wait_until(lambda: self.ask("SELECT 1", "postgres") == "1", "PostgreSQL answers")
        if not has_tls:
            self.ask("CREATE DATABASE skep", "postgres")

    def _tls_settings(self, data):
        """Passwords and encryption for whoever comes by the port, with a certificate for localhost that is its own authority."""
        key = os.path.join(self.directory, "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", self.authority],
                       check=True, capture_output=True, timeout=PATIENCE)
        if os.geteuid() == 0:
            os.chown(key, pwd.getpwnam("postgres").pw_uid, -1)
        os.chmod(key, 0o600)
        os.chmod(self.authority, 0o644)
        with open(os.path.join(data, "pg_hba.conf"), "w", encoding="ascii") as file:
            file.write("local all all trust\nhostssl all all 127.0.0.0/8 scram-sha-256\n")
        return f"listen_addresses = '127.0.0.1'\nssl = on\nssl_key_file = '{key}'\nssl_cert_file = '{self.authority}'\n"

    @property
    def authority(self):
        return os.path.join(self.directory, "authority.pem")

    @property
    def url(self):
        return f"postgresql:///skep?user={self.user}&host={self.directory}"

    def ask(self, sql, database="skep"):
        """The answer as text, rows on lines, columns with '|' between."""
        asked = subprocess.run(["psql", "-h", self.directory, "-p", str(self.port), "-U", self.user, "-d", database, "-AtXq", "-c",
                                sql],
                               capture_output=True, timeout=PATIENCE, check=False, env=self.lab.environment())
        return asked.stdout.decode().strip()
