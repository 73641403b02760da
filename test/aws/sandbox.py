# SPDX-License-Identifier: Apache-2.0
"""sandbox.py - how a script that was written for a whole machine comes to run in a directory of this one.

The script is taken as it is but for names: paths that belong to skep, systemd and the like lead under the machine's
root, the metadata address becomes the instance's own, and 0.0.0.0, which all machines would share here, too. Programs
that would change this machine are replaced by machine_shim.py, by way of PATH.

Threads: functions of their arguments.
"""
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
# Directories and files of a machine that are private to it.
PRIVATE = (r"etc/(?:skep|systemd|default|fstab|environment|profile\.d|cron\.d|sysctl\.d|ssl/skep)|var/(?:lib|log|tmp|cache|spool)"
           r"|run|opt|mnt|srv|tmp|root|home|data|usr/(?:local|bin/skep|lib/systemd|share/skep)|lib/systemd|dev/disk"
           r"|dev/sd[b-z]\w*|dev/xvd[b-z]\w*|dev/nvme\d+n1\w*")
SHIMS = ("apt-get apt dpkg systemctl aws shutdown poweroff halt mount umount mountpoint findmnt mkfs mkfs.ext4 mkfs.xfs blkid "
         "lsblk useradd adduser addgroup groupadd chown chgrp install sysctl hostnamectl timedatectl cloud-init resize2fs "
         "sleep udevadm sync loginctl growpart").split()


def localized(text, root, address, metadata, endpoint=""):
    """`text` with the paths and addresses of the machine. Doing it twice changes nothing."""
    base = re.escape(root.rstrip("/"))
    text = re.sub(rf"(?<![\w./}}-])(?!{base}(?:/|\b))/(?:{PRIVATE})(?![\w-])", lambda found: root + found.group(0), text)
    text = re.sub(rf"(?<![\w./}}-])(?:/usr)?/s?bin/({'|'.join(map(re.escape, SHIMS))})(?![\w.-])", r"\1", text)
    text = text.replace("169.254.169.254", metadata).replace("0.0.0.0", address)
    text = text.replace("https://truststore.pki.rds.amazonaws.com", endpoint + "/_truststore")
    return re.sub(r"(\[\[? (?:! )?|\btest (?:! )?)-b ", r"\1-e ", text)


def make_shims(root):
    """The directory that goes first in PATH."""
    folder = os.path.join(root, "shims")
    os.makedirs(folder, exist_ok=True)
    for name in SHIMS:
        path = os.path.join(folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\nexec {sys.executable} -B -I -S {HERE}/machine_shim.py {root} {name} "$@"\n')
        os.chmod(path, 0o755)
    return folder


def localize_files(root, address, metadata):
    """The same for the configuration files that were written or installed."""
    for top in ("etc/skep", "etc/default", "etc/systemd", "usr/lib/systemd", "lib/systemd"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in names:
                path = os.path.join(folder, name)
                try:
                    with open(path, encoding="utf-8") as file:
                        before = file.read()
                except (UnicodeDecodeError, OSError):
                    continue
                after = localized(before, root, address, metadata)
                if after != before:
                    with open(path, "w", encoding="utf-8") as file:
                        file.write(after)
