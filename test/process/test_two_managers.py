# SPDX-License-Identifier: Apache-2.0
"""Directories that a manager must refuse: one clear sentence, an exit code, and nothing touched."""
import os
import re
import shutil
import subprocess
import unittest

from harness import BIN, PATIENCE, ProcessTest, reference

EXIT_INVALID = 2
EXIT_UNAVAILABLE = 9
EXIT_CORRUPT = 12
NOBODY = "65534"


def contents(directory):
    """What a directory holds: names, sizes, times and bytes."""
    found = {}
    for parent, _, files in os.walk(directory):
        for name in files:
            path = os.path.join(parent, name)
            status = os.stat(path)
            with open(path, "rb") as file:
                found[path] = (status.st_size, status.st_mtime_ns, status.st_mode, file.read())
    return found


def crc32c(data):
    """The checksum of the small text files of a store."""
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


class Directories(ProcessTest):
    def assert_refused(self, directory, code, *words, prefix=(), command="manager"):
        before = contents(directory) if os.path.isdir(directory) else None
        ended = subprocess.run([*prefix, BIN, command, "--listen", "127.0.0.1:0", "--store", f"rocksdb:{directory}"],
                               capture_output=True, timeout=PATIENCE, stdin=subprocess.DEVNULL,
                               env=self.lab.environment())
        text = ended.stderr.decode()
        self.assertEqual(ended.returncode, code, text)
        self.assertEqual(ended.stdout, b"")
        sentences = [line for line in text.splitlines() if line.startswith("skep: ")]
        self.assertEqual(len(sentences), 1, text)
        for word in words:
            self.assertIn(word, sentences[0])
        self.assertNotIn("rocksdb::", text)
        if before is not None:
            self.assertEqual(contents(directory), before, "something was touched")
        return sentences[0]

    def closed_store(self):
        manager = self.lab.manager()
        self.task_id = self.enqueue(manager.http(), b"kept", 1)
        self.assertEqual(manager.terminate()[0], 0)
        return manager.directory

    def assert_still_good(self, directory):
        manager = self.lab.manager(directory=directory)
        http = manager.http()
        self.lab.worker(manager)
        self.assertEqual(self.finished(http, self.task_id)["result"], reference(b"kept", 1))

    def test_a_second_manager_on_a_directory_in_use(self):
        manager = self.lab.manager()
        http = manager.http()
        task = self.enqueue(http, b"of the first", 1)
        for command in ("manager", "up"):
            # The owner's own files may change at any time: only the refusal and the owner's health count here.
            ended = self.lab.run(command, "--listen", "127.0.0.1:0", "--store", f"rocksdb:{manager.directory}")
            self.assertEqual(ended.returncode, EXIT_UNAVAILABLE, ended)
            self.assertEqual(ended.stdout, b"")
            self.assertIn(f"process {manager.pid}", ended.stderr.decode())
            self.assertIn(manager.directory, ended.stderr.decode())
        self.lab.worker(manager)
        self.assertEqual(self.finished(http, task)["result"], reference(b"of the first", 1))
        # Once the first has gone, by whatever way, there is nothing to clean up.
        manager.kill()
        self.lab.manager(directory=manager.directory)

    def test_a_second_manager_on_a_port_in_use(self):
        manager = self.lab.manager()
        ended = self.lab.run("manager", "--listen", manager.address, "--store", f"rocksdb:{self.lab.path('other')}")
        self.assertEqual(ended.returncode, EXIT_UNAVAILABLE, ended)
        self.assertIn(manager.address, ended.stderr.decode())

    def test_a_store_of_a_newer_format(self):
        directory = self.closed_store()
        path = os.path.join(directory, "skep.store")
        with open(path, "rb") as file:
            text = file.read()
        newer = re.sub(rb"format \d+", b"format 99", text[:text.rindex(b"checksum ")])
        shutil.copy(path, self.lab.path("saved"))
        with open(path, "wb") as file:
            file.write(newer + b"checksum %08x\n" % crc32c(newer))
        self.assert_refused(directory, EXIT_INVALID, "format 99", directory)
        shutil.copy(self.lab.path("saved"), path)
        self.assert_still_good(directory)

    def test_a_directory_that_is_not_a_store(self):
        directory = self.lab.path("photos")
        os.mkdir(directory)
        with open(os.path.join(directory, "bees.jpg"), "wb") as file:
            file.write(b"precious")
        self.assert_refused(directory, EXIT_INVALID, directory, "not empty", command="up")

    def test_a_file_in_place_of_a_directory(self):
        path = self.lab.path("file")
        with open(path, "wb") as file:
            file.write(b"precious")
        self.assert_refused(path, EXIT_INVALID, path, "not a directory")
        with open(path, "rb") as file:
            self.assertEqual(file.read(), b"precious")
        self.assert_refused(os.path.join(path, "below"), EXIT_INVALID, path)

    def test_a_directory_whose_parent_is_missing(self):
        self.assert_refused(self.lab.path("no", "such", "parent"), EXIT_INVALID, self.lab.path("no", "such"))
        self.assertFalse(os.path.exists(self.lab.path("no")))

    def test_a_directory_that_is_not_writable(self):
        prefix = []
        if os.geteuid() == 0:
            if shutil.which("setpriv") is None:
                self.skipTest("as root, and there is no setpriv to become somebody else")
            prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
            os.chmod(self.lab.directory, 0o755)
            if subprocess.run([*prefix, BIN, "version"], capture_output=True, timeout=PATIENCE).returncode != 0:
                self.skipTest("the program can not be run by another user from where it is")
        directory = self.closed_store()
        os.chmod(directory, 0o555)
        self.assert_refused(directory, EXIT_INVALID, directory, "ermission", prefix=prefix)
        os.chmod(directory, 0o755)
        self.assert_still_good(directory)
        parent = self.lab.path("sealed")
        os.mkdir(parent, 0o555)
        self.assert_refused(os.path.join(parent, "new"), EXIT_INVALID, parent, "ermission", prefix=prefix)
        self.assertEqual(os.listdir(parent), [])

    def test_a_damaged_store_is_named_and_not_served(self):
        directory = self.closed_store()
        pristine = self.lab.path("pristine")
        shutil.copytree(directory, pristine)
        names = [name for name in sorted(os.listdir(directory))
                 if os.path.getsize(os.path.join(directory, name)) and name.split(".")[-1] in ("log", "store", "seal")
                 or name.startswith("MANIFEST")]
        self.assertGreaterEqual(len(names), 3, os.listdir(directory))
        for name in names:
            with self.subTest(name):
                path = os.path.join(directory, name)
                with open(path, "r+b") as file:
                    data = file.read()
                    at = len(data) // 2
                    file.seek(at)
                    file.write(bytes([data[at] ^ 0x40]))
                self.assert_refused(directory, EXIT_CORRUPT, name)
                shutil.copy2(os.path.join(pristine, name), path)
        self.assert_still_good(directory)


if __name__ == "__main__":
    unittest.main(verbosity=2)
