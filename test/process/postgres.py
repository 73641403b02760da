# SPDX-License-Identifier: Apache-2.0
"""postgres.py - a PostgreSQL of a test's own: made from nothing in the lab's directory, killed with the lab.

It listens on a socket in its directory only. As root it runs as the user postgres, which it insists on.

Threads: the test's thread.
"""
import glob
import os
import pwd
import subprocess

from harness import PATIENCE, Process, wait_until

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
    def __init__(self, lab):
        self.lab = lab
        self.directory = lab.path("postgres")
        os.mkdir(self.directory)
        prefix = []
        if os.geteuid() == 0:
            os.chmod(lab.directory, 0o755)
            os.chown(self.directory, pwd.getpwnam("postgres").pw_uid, -1)
            prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        data = os.path.join(self.directory, "data")
        subprocess.run([*prefix, f"{programs()}/initdb", "-D", data, "-U", "skep", "-E", "UTF8", "--locale=C", "-A", "trust",
                        "-N"], check=True, capture_output=True, timeout=PATIENCE, env=lab.environment())
        with open(os.path.join(data, "postgresql.conf"), "a", encoding="ascii") as file:
            file.write(f"listen_addresses = ''\nunix_socket_directories = '{self.directory}'\n{SETTINGS}")
        self.process = Process(lab, "postgres", [*prefix, f"{programs()}/postgres", "-D", data])
        wait_until(lambda: self.ask("SELECT 1", "postgres") == "1", "PostgreSQL answers")
        self.ask("CREATE DATABASE skep", "postgres")

    @property
    def url(self):
        return f"postgresql:///skep?user=skep&host={self.directory}"

    def ask(self, sql, database="skep"):
        """The answer as text, rows on lines, columns with '|' between."""
        asked = subprocess.run(["psql", "-h", self.directory, "-U", "skep", "-d", database, "-AtXq", "-c", sql],
                               capture_output=True, timeout=PATIENCE, check=False, env=self.lab.environment())
        return asked.stdout.decode().strip()
