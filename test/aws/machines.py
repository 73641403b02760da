# SPDX-License-Identifier: Apache-2.0
"""machines.py - what runs behind the instances: a process tree each, in a directory of its own.

An instance that boots gets a directory as its root and a machine_init.py, which runs the user data and the services
that this enables. The volumes are directories too and outlive it. Stopping an instance ends its init, and with it all
that it started.

Threads: boot() and stop() may be called from any thread and return at once; one thread of this class starts the
processes, because what is told to end with its parent ends with the thread that started it.
"""
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))

# What a script may take for granted on any machine.
FOLDERS = ("var/lib/cloud", "var/log", "var/cache", "var/tmp", "etc/systemd/system", "etc/default", "etc/profile.d", "tmp", "root",
           "home", "dev", "run", "opt", "mnt", "srv", "usr/bin", "usr/local/bin")


class Machines:
    """`program`: the skep that instances run. `endpoint`: host and port of the server, `port` that of the metadata."""

    def __init__(self, directory, program, endpoint, world):
        self.directory = directory
        self.program = program
        self.endpoint = endpoint
        self.world = world
        self.running = {}  # instance id -> Popen of its init
        self._jobs = queue.Queue()
        self._thread = threading.Thread(target=self._work, name="machines")
        self._thread.start()

    def root(self, ident):
        return os.path.join(self.directory, ident)

    def volume(self, ident):
        return os.path.join(self.directory, "volumes", ident)

    def boot(self, instance):
        port = self.endpoint.rpartition(":")[2]
        settings = {"id": instance.id, "address": instance.address, "root": self.root(instance.id), "program": self.program,
                    "endpoint": f"http://{self.endpoint}", "metadata": f"{instance.address}:{port}", "region": self.world.region,
                    "rate": self.world.clock.rate, "volumes": os.path.join(self.directory, "volumes")}
        self._jobs.put(lambda: self._boot(settings, instance.launch.user_data))

    def _boot(self, settings, user_data):
        root = settings["root"]
        for name in FOLDERS:
            os.makedirs(os.path.join(root, name), exist_ok=True)
        with open(os.path.join(root, "var/lib/cloud/user-data"), "wb") as file:
            file.write(user_data)
        with open(os.path.join(root, "machine.json"), "w", encoding="utf-8") as file:
            json.dump(settings, file)
        kept = {name: value for name, value in os.environ.items() if name.startswith("TEST_")}
        with open(os.path.join(root, "console.log"), "wb") as console:
            self.running[settings["id"]] = subprocess.Popen(
                [sys.executable, "-B", os.path.join(HERE, "machine_init.py"), root], stdin=subprocess.DEVNULL, stdout=console,
                stderr=console, cwd=root, start_new_session=True,
                env={**kept, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"})

    def stop(self, ident, is_sudden):
        self._jobs.put(lambda: self._signal(ident, signal.SIGUSR1 if is_sudden else signal.SIGTERM))

    def _signal(self, ident, number):
        process = self.running.get(ident)
        if process and process.poll() is None:
            process.send_signal(number)

    def hang(self, ident):
        """Halts every process of the instance but its init: it answers nothing and knows nothing of it."""
        halted = None
        while halted != (found := _with_mark(f"SKEP_TEST_MACHINE={ident}")):  # until no new one has come
            for pid in found:
                os.kill(pid, signal.SIGSTOP)
            halted = found

    def attach(self, ident, volumes):
        """Shows the volumes, by device name, in the instance's /dev. False if it has none yet."""
        root = self.root(ident)
        if not os.path.isdir(os.path.join(root, "dev")):
            return False
        wanted = {}
        for index, (device, volume) in enumerate(sorted(volumes.items())):
            names = [os.path.basename(device), f"nvme{index + 1}n1",
                     "disk/by-id/nvme-Amazon_Elastic_Block_Store_" + volume.replace("-", "")]
            wanted.update({name: volume for name in names})
        for name, volume in wanted.items():
            path = os.path.join(root, "dev", name)
            if not os.path.exists(path):
                os.makedirs(self.volume(volume), exist_ok=True)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path + ".new", "w", encoding="ascii") as file:
                    file.write(volume)
                os.rename(path + ".new", path)
        return True

    def has_shut_down(self, ident):
        """Whether the instance has booted and its init has ended by itself."""
        process = self.running.get(ident)
        return process is not None and process.poll() is not None

    def console(self, ident):
        try:
            with open(os.path.join(self.root(ident), "console.log"), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return b""

    def _work(self):
        while (job := self._jobs.get()) is not None:
            job()

    def close(self):
        """Ends every process and takes the directories away."""
        self._jobs.put(None)
        self._thread.join()
        for process in self.running.values():
            if process.poll() is None:
                process.send_signal(signal.SIGUSR1)
        for process in self.running.values():
            process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def _with_mark(mark):
    """The processes that have this in their environment."""
    found = set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if mark.encode() in file.read().split(b"\0"):
                    found.add(int(name))
        except OSError:
            continue  # it has ended, or is another user's
    return found
