# SPDX-License-Identifier: Apache-2.0
"""machine_shim.py - stands in, on an instance, for the programs that would change the machine it runs on.

`machine_shim.py ROOT NAME ARGUMENT...`: packages are unpacked below ROOT, services and shutdowns are orders to the
instance's init, devices are files with a volume's id and mounts are links to its directory. What only prepares a
machine (users, owners, clocks) does nothing. `aws` is Debian's with the server as its endpoint, but for the two calls
that every boot makes, which would cost a second of processor time each.

Threads: one.
"""
import json
import os
import re
import socket
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def settings_of(root):
    with open(os.path.join(root, "machine.json"), encoding="utf-8") as file:
        return json.load(file)


def order(root, arguments):
    """Hands an order to the instance's init."""
    here = os.getcwd()
    os.chdir(root)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect("run/init.sock")
        connection.sendall(json.dumps(arguments).encode() + b"\n")
        code, text = json.loads(connection.makefile().readline())
    os.chdir(here)
    print(text, end="")
    return code


# ---- packages ----

def packages(root, name, arguments):
    for path in [word for word in arguments if word.endswith(".deb")]:
        if not os.path.exists(path):
            print(f"E: Unsupported file {path} given on commandline", file=sys.stderr)
            return 100
        install(root, path)
    return 0


def install(root, path):
    """Unpacks a package; for a file that is none, puts in what the package would bring."""
    with open(path, "rb") as file:
        is_package = file.read(8) == b"!<arch>\n"
    if is_package:
        subprocess.run(["dpkg-deb", "-x", path, root], check=True)
        return
    os.makedirs(os.path.join(root, "usr/bin"), exist_ok=True)
    link = os.path.join(root, "usr/bin/skep")
    if not os.path.lexists(link):
        os.symlink(settings_of(root)["program"], link)
    source, folder = os.path.join(HERE, "../../packaging/systemd"), os.path.join(root, "usr/lib/systemd/system")
    os.makedirs(folder, exist_ok=True)
    for name in os.listdir(source) if os.path.isdir(source) else []:
        with open(os.path.join(source, name), "rb") as read, open(os.path.join(folder, name), "wb") as write:
            write.write(read.read())


# ---- devices ----

def volume_of(root, device):
    """The id of the volume behind a device or a UUID=; None if there is none."""
    if device.startswith("UUID="):
        return device[5:] if device[5:].startswith("vol-") else None
    try:
        with open(device, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return None


def mark_of(root, volume):
    return os.path.join(settings_of(root)["volumes"], volume + ".formatted")


def make_filesystem(root, name, arguments):
    volume = volume_of(root, arguments[-1])
    if volume is None:
        print(f"{name}: no such device: {arguments[-1]}", file=sys.stderr)
        return 1
    if os.path.exists(mark_of(root, volume)) and not {"-f", "-F"} & set(arguments):
        print(f"{name}: {arguments[-1]} contains a file system", file=sys.stderr)
        return 1
    directory = os.path.join(settings_of(root)["volumes"], volume)
    subprocess.run(["rm", "-rf", "--", directory], check=True)
    os.makedirs(directory)
    with open(mark_of(root, volume), "w", encoding="ascii"):
        return 0


def block_id(root, name, arguments):
    devices = [word for word in arguments if "/dev/" in word]
    volume = volume_of(root, devices[-1]) if devices else None
    if volume is None or not os.path.exists(mark_of(root, volume)):
        return 0 if name == "lsblk" and volume else 2
    if "value" in arguments:
        print(volume if "UUID" in arguments else "ext4")
    elif name == "lsblk":
        print("ext4")
    else:
        print(f'{devices[-1]}: UUID="{volume}" TYPE="ext4"')
    return 0


def mount(root, name, arguments):
    words, skip = [], False
    for word in arguments:
        if skip or word.startswith("-"):
            skip = not skip and word in ("-o", "-t")
            continue
        words.append(word)
    if "-a" in arguments or len(words) == 1:
        return mount_table(root, words)
    return mount_one(root, *words)


def mount_table(root, wanted):
    with open(os.path.join(root, "etc/fstab"), encoding="utf-8") as file:
        for line in file:
            fields = line.split()
            if len(fields) > 1 and not line.startswith("#") and (not wanted or fields[1] == wanted[0]):
                code = mount_one(root, fields[0], fields[1])
                if code and "nofail" not in line:
                    return code
    return 0


def mount_one(root, device, place):
    volume = volume_of(root, device)
    if volume is None or not os.path.exists(mark_of(root, volume)):
        print(f"mount: {place}: wrong fs type, bad option, bad superblock on {device}", file=sys.stderr)
        return 32
    if os.path.islink(place):
        return 0
    place = place.rstrip("/")
    if os.path.isdir(place):
        os.rename(place, place + ".below")
    os.symlink(os.path.join(settings_of(root)["volumes"], volume), place)
    return 0


def mount_point(root, name, arguments):
    return 0 if any(os.path.islink(word.rstrip("/")) for word in arguments) else 1


def unmount(root, name, arguments):
    for word in arguments:
        if os.path.islink(word.rstrip("/")):
            os.unlink(word.rstrip("/"))
    return 0


# ---- others ----

def sleep(root, name, arguments):
    """A pause of the machine's time."""
    seconds = sum(float(word.rstrip("s")) for word in arguments if re.fullmatch(r"[\d.]+s?", word))
    os.execv("/bin/sleep", ["sleep", f"{seconds / max(1.0, settings_of(root)['rate']):.3f}"])


def install_file(root, name, arguments):
    words, skip = [], False
    for word in arguments:
        if skip or word in ("-o", "-g"):
            skip = not skip
            continue
        words.append(word)
    os.execv("/usr/bin/install", ["install", *words])


def aws(root, name, arguments):
    sys.path.insert(0, HERE)
    import machine_aws
    settings = settings_of(root)
    code = machine_aws.run(settings, arguments)
    if code is not None:
        return code
    environment = {**os.environ, "AWS_DEFAULT_REGION": settings["region"]}
    os.execve("/usr/bin/aws", ["aws", "--endpoint-url", settings["endpoint"], *arguments], environment)


def systemctl(root, name, arguments):
    return order(root, [name, *arguments])


ACTIONS = {"apt-get": packages, "apt": packages, "dpkg": packages, "systemctl": systemctl, "shutdown": systemctl,
           "poweroff": systemctl, "halt": systemctl, "mount": mount, "umount": unmount, "mountpoint": mount_point,
           "findmnt": mount_point, "mkfs": make_filesystem, "mkfs.ext4": make_filesystem, "mkfs.xfs": make_filesystem,
           "blkid": block_id, "lsblk": block_id, "sleep": sleep, "install": install_file, "aws": aws}


def main():
    root, name, *arguments = sys.argv[1:]
    action = ACTIONS.get(name)
    return action(root, name, arguments) if action else 0


if __name__ == "__main__":
    sys.exit(main())
