# SPDX-License-Identifier: Apache-2.0
"""units.py - reads systemd units as far as services need it: files, drop-ins, environment, command lines.

What only hardens or orders (ProtectSystem, After, User, ...) means nothing here; `systemd-analyze verify` is the judge
of that.

Threads: a Unit is a value.
"""
import os
import re
import shlex
import shutil

FOLDERS = ("etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")
SECONDS = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|)")
UNITS_OF_TIME = {"ms": 0.001, "s": 1.0, "": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}


class Unit:
    """One service: `root` is that of the machine, `shims` the directory of its replaced programs."""

    def __init__(self, root, shims, name):
        self.root = root
        self.shims = shims
        self.name = name if name.endswith(".service") else name + ".service"
        self.values = {}
        path = self._path()
        if path is None:
            raise FileNotFoundError(f"Unit {self.name} not found.")
        self._read(path)
        for folder in FOLDERS:
            drop_ins = os.path.join(root, folder, self.name + ".d")
            for file in sorted(os.listdir(drop_ins)) if os.path.isdir(drop_ins) else []:
                if file.endswith(".conf"):
                    self._read(os.path.join(drop_ins, file))

    def _path(self):
        template = re.sub(r"@[^.]*\.", "@.", self.name)
        for folder in FOLDERS:
            for name in (self.name, template):
                path = os.path.join(self.root, folder, name)
                if os.path.isfile(path):
                    return path
        return None

    def _read(self, path):
        with open(path, encoding="utf-8") as file:
            text = re.sub(r"\\\n\s*", " ", file.read())
        for line in text.splitlines():
            key, equals, value = line.strip().partition("=")
            if line.lstrip().startswith(("#", ";", "[")) or not equals:
                continue
            if value.strip():
                self.values.setdefault(key.strip(), []).append(self._specified(value.strip()))
            else:
                self.values.pop(key.strip(), None)

    def _specified(self, text):
        instance = re.search(r"@([^.]*)\.", self.name)
        known = {"n": self.name, "i": instance.group(1) if instance else "", "S": self.root + "/var/lib", "%": "%",
                 "t": self.root + "/run", "d": self.credentials, "E": self.root + "/etc"}
        return re.sub(r"%(\w|%)", lambda found: known.get(found.group(1), ""), text)

    def last(self, key, otherwise=""):
        return self.values.get(key, [otherwise])[-1]

    def seconds(self, key, otherwise):
        found = SECONDS.fullmatch(self.last(key))
        return float(found.group(1)) * UNITS_OF_TIME[found.group(2)] if found else otherwise

    @property
    def credentials(self):
        return os.path.join(self.root, "run/credentials", self.name)

    def prepare(self):
        """Makes the directories and credentials that systemd would make."""
        for key, top in (("StateDirectory", "var/lib"), ("RuntimeDirectory", "run"), ("LogsDirectory", "var/log"),
                         ("CacheDirectory", "var/cache"), ("ConfigurationDirectory", "etc")):
            for name in " ".join(self.values.get(key, [])).split():
                os.makedirs(os.path.join(self.root, top, name), exist_ok=True)
        for value in self.values.get("LoadCredential", []):
            name, _, path = value.partition(":")
            os.makedirs(self.credentials, exist_ok=True)
            shutil.copy(path, os.path.join(self.credentials, name))

    def environment(self, base):
        made = dict(base)
        for value in self.values.get("Environment", []):
            made.update(part.partition("=")[::2] for part in shlex.split(value))
        for path in self.values.get("EnvironmentFile", []):
            try:
                with open(path.lstrip("-"), encoding="utf-8") as file:
                    lines = file.read().splitlines()
            except FileNotFoundError:
                if path.startswith("-"):
                    continue
                raise
            for line in lines:
                key, equals, value = line.strip().partition("=")
                if equals and not key.startswith("#"):
                    made[key] = shlex.split(value)[0] if value.strip() else ""
        if "LoadCredential" in self.values:
            made["CREDENTIALS_DIRECTORY"] = self.credentials
        return made

    def commands(self, key, environment):
        """The command lines under `key`, with variables put in: (arguments, whether a failure is ignored)."""
        made = []
        for text in self.values.get(key, []):
            prefix = re.match(r"[-+!@:|]*", text).group(0)
            words = []
            for word in shlex.split(text[len(prefix):]):
                whole = re.fullmatch(r"\$(\w+)", word)
                if whole:
                    words += shlex.split(environment.get(whole.group(1), ""))
                else:
                    words.append(re.sub(r"\$\{(\w+)\}", lambda found: environment.get(found.group(1), ""), word))
            shim = os.path.join(self.shims, os.path.basename(words[0]))
            words[0] = shim if os.path.exists(shim) else words[0]
            made.append((words, "-" in prefix))
        return made
