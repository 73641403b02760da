# SPDX-License-Identifier: Apache-2.0
"""machine_init.py - the first process of an instance: runs the user data, keeps the services, ends with all of them.

`machine_init.py ROOT`. Started by machines.py, which leaves ROOT/machine.json for it. It takes the orders of the
replaced systemctl and shutdown from a socket in ROOT/run. SIGTERM is an orderly shutdown; SIGUSR1, which the kernel
sends too when the server dies, is the plug being pulled. Whatever was started ends with it: orphans come to it, as
their reaper, and are killed.

Threads: one.
"""
import ctypes
import gzip
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time

import sandbox
from units import Unit

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
STOP_SECONDS = 20.0
RESTARTS_MAX = 100
KILL_PAUSE_SECONDS = 0.002


class Service:
    def __init__(self, unit):
        self.unit = unit
        self.process = None
        self.restarts = 0
        self.restart_at = None
        self.is_wanted = True
        self.result = "inactive"

    @property
    def is_active(self):
        return self.process is not None or self.restart_at is not None


class Init:
    def __init__(self, root):
        with open(os.path.join(root, "machine.json"), encoding="utf-8") as file:
            self.settings = json.load(file)
        self.root = root
        self.shims = sandbox.make_shims(root)
        self.services = {}
        self.script = None
        self.is_ending = False
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind("run/init.sock")  # relative: the whole path may be too long for a socket
        self.listener.listen(16)
        self.wakeup, waker = socket.socketpair()
        self.wakeup.setblocking(False)
        waker.setblocking(False)
        signal.set_wakeup_fd(waker.fileno())
        self._waker = waker
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._end())

    def _end(self):
        self.is_ending = True

    def environment(self):
        settings = self.settings
        kept = {name: value for name, value in os.environ.items() if name.startswith("TEST_")}
        return {**kept, "PATH": f"{self.shims}:{self.root}/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8",
                "HOME": self.root + "/root", "TMPDIR": self.root + "/tmp", "AWS_ENDPOINT_URL": settings["endpoint"],
                "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://" + settings["metadata"],
                "SKEP_TEST_MACHINE": settings["id"], "SKEP_TEST_ADDRESS": settings["address"]}

    def spawn(self, arguments, environment, directory=None):
        return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *arguments], stdin=subprocess.DEVNULL, env=environment,
                                cwd=directory or self.root, start_new_session=True)

    def say(self, text):
        print(f"[{self.settings['id']}] {text}", flush=True)

    # ---- user data ----

    def run_user_data(self):
        with open(os.path.join(self.root, "var/lib/cloud/user-data"), "rb") as file:
            data = file.read()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        if not data.startswith(b"#!"):
            self.say("the user data is no script: nothing is run" if data else "no user data")
            return
        text = self._localized(data.decode())
        path = os.path.join(self.root, "var/lib/cloud/script")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        shell = text.splitlines()[0][2:].split()
        self.script = self.spawn([*shell, path], self.environment())

    def _localized(self, text):
        settings = self.settings
        return sandbox.localized(text, self.root, settings["address"], settings["metadata"], settings["endpoint"])

    # ---- services ----

    def start(self, name):
        service = self.services.get(name)
        if service and service.process:
            return
        sandbox.localize_files(self.root, self.settings["address"], self.settings["metadata"])
        service = self.services[name] = Service(Unit(self.root, self.shims, name))
        self._launch(service)

    def _launch(self, service):
        unit = service.unit
        service.restart_at = None
        unit.prepare()
        environment = unit.environment(self.environment())
        for arguments, is_free in unit.commands("ExecStartPre", environment):
            code = subprocess.run(arguments, env=environment, cwd=self.root, check=False, timeout=60).returncode
            if code and not is_free:
                self._ended(service, code)
                return
        commands = unit.commands("ExecStart", environment)
        if unit.last("Type") == "oneshot":
            codes = [subprocess.run(words, env=environment, cwd=self.root, check=False, timeout=300).returncode
                     for words, _ in commands]
            service.result = "failed" if any(codes) else "inactive"
            return
        service.process = self.spawn(commands[0][0], environment, unit.last("WorkingDirectory") or None)
        self.say(f"started {unit.name}: {' '.join(commands[0][0])}")

    def _ended(self, service, code):
        unit, service.process = service.unit, None
        self.say(f"{unit.name} has ended with {code}")
        environment = unit.environment(self.environment())
        for arguments, _ in unit.commands("ExecStopPost", environment):
            subprocess.Popen(arguments, env={**environment, "SERVICE_RESULT": "success" if code == 0 else "exit-code"},
                             cwd=self.root)
        policy = unit.last("Restart", "no")
        prevented = str(code) in unit.last("RestartPreventExitStatus").split()
        is_again = policy == "always" or (policy == "on-failure" and code != 0) or (policy == "on-abnormal" and code < 0)
        service.result = "inactive" if code == 0 else "failed"
        if service.is_wanted and is_again and not prevented and service.restarts < RESTARTS_MAX and not self.is_ending:
            service.restarts += 1
            pause = max(0.05, unit.seconds("RestartSec", 0.1) / max(1.0, self.settings["rate"]))
            service.restart_at = time.monotonic() + pause
        elif service.is_wanted and "poweroff" in unit.last("SuccessAction" if code == 0 else "FailureAction"):
            self._end()

    def stop(self, name):
        service = self.services.get(name)
        if service is None:
            return
        service.is_wanted, service.restart_at = False, None
        if service.process:
            service.process.terminate()

    # ---- orders ----

    def order(self, arguments):
        """Carries out an order of a shim. Gives the exit code and what it prints."""
        if arguments[0] in ("shutdown", "poweroff", "halt"):
            self._end()
            return 0, ""
        words = [word for word in arguments[1:] if not word.startswith("-")]
        verb, names = (words or ["list-units"])[0], [name.removesuffix(".service") for name in words[1:]]
        if verb in ("poweroff", "halt", "exit"):
            self._end()
        try:
            if verb in ("start", "restart", "reload-or-restart", "try-restart") or (verb == "enable" and "--now" in arguments):
                for name in names:
                    self._order_start(name, verb)
            elif verb == "stop" or (verb in ("disable", "mask") and "--now" in arguments):
                for name in names:
                    self.stop(name)
            elif verb in ("is-active", "is-failed", "status", "show"):
                states = ["active" if name in self.services and self.services[name].is_active
                          else self.services[name].result if name in self.services else "inactive" for name in names]
                return 0 if all(state == "active" for state in states) else 3, "\n".join(states) + "\n"
        except (OSError, ValueError, IndexError) as error:
            self.say(f"systemctl {' '.join(words)}: {error}")
            return 5, f"Failed: {error}\n"
        return 0, ""

    def _order_start(self, name, verb):
        service = self.services.get(name)
        if verb.endswith("restart") and service and service.process:
            service.process.terminate()
            service.process.wait(STOP_SECONDS)
            service.process = None
        self.start(name)

    def _answer(self):
        connection, _ = self.listener.accept()
        with connection:
            connection.settimeout(5)
            try:
                arguments = json.loads(connection.makefile().readline())
                code, text = self.order(arguments)
                connection.sendall(json.dumps([code, text]).encode() + b"\n")
            except (OSError, ValueError) as error:
                self.say(f"an order came to nothing: {error}")

    # ---- the loop ----

    def _look_after_children(self):
        for service in self.services.values():
            if service.process and service.process.poll() is not None:
                self._ended(service, service.process.returncode)
            if service.restart_at and time.monotonic() >= service.restart_at:
                self._launch(service)
        if self.script and self.script.poll() is not None:
            self.say(f"the user data has ended with {self.script.returncode}")
            self.script = None
        self._reap_orphans()

    def _known(self):
        known = {service.process.pid for service in self.services.values() if service.process}
        return known | ({self.script.pid} if self.script else set())

    def _reap_orphans(self):
        """Waits for those that came to this process when their parents ended."""
        for pid in children():
            if pid not in self._known():
                try:
                    os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    pass

    def run(self):
        self.run_user_data()
        while not self.is_ending:
            pauses = [service.restart_at - time.monotonic() for service in self.services.values() if service.restart_at]
            ready, _, _ = select.select([self.listener, self.wakeup], [], [], max(0.0, min([5.0, *pauses])))
            if self.wakeup in ready:
                self.wakeup.recv(4096)
            if self.listener in ready:
                self._answer()
            self._look_after_children()
        self._stop_all()

    def _stop_all(self):
        self.say("shutting down")
        running = [service.process for service in self.services.values() if service.process]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
        kill_all()


def children():
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
        return [int(pid) for pid in file.read().split()]


def kill_all():
    """Kills the children, then those who come to this process by that, until there are none."""
    while True:
        for pid in children():  # which may leave some out while others end
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                select.select([], [], [], KILL_PAUSE_SECONDS)
        except ChildProcessError:
            return


def pull_the_plug(*_):
    kill_all()
    os._exit(0)


def main():
    parent = os.getppid()
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGUSR1, pull_the_plug)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGUSR1)
    if os.getppid() != parent:
        return
    os.chdir(sys.argv[1])
    Init(sys.argv[1]).run()


if __name__ == "__main__":
    main()
