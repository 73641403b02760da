# SPDX-License-Identifier: Apache-2.0
"""server.py - a fault server in place of AWS, for tests: EC2, IAM, STS, SSM, S3 and RDS as far as skep calls them.

    python3 test/aws/server.py --rate 20

Its first line on standard output is `listening on HOST:PORT`. README.md tells how to point clients at it and how to
make things go wrong. It ends, with all that it started, on SIGTERM and when its parent dies.

Threads: one a connection; one that lets time pass; one that starts processes (machines.py). One lock over the state.
"""
import argparse
import ctypes
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import control
import metadata
from answer import Dropped, HttpAnswer, HttpRequest
from dispatch import Dispatch
from ec2_instances import Instances
from machines import Machines
from rds import TRUST, truststore
from world import World

HERE = os.path.dirname(os.path.abspath(__file__))
TICK_SECONDS = 0.05
PR_SET_PDEATHSIG = 1
BODY_MAX = 512 * 1024 * 1024


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 300

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _serve(self):
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(min(size, BODY_MAX)) if size else b""
        headers = {}
        for name, value in self.headers.items():
            name = name.lower()
            headers[name] = f"{headers[name]},{value}" if name in headers else value
        request = HttpRequest(self.command, self.path, headers, body, self.connection.getsockname()[0])
        try:
            answer = self.server.answer(request)
        except Dropped:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(answer.status)
        length = answer.headers.pop("Content-Length", len(answer.body))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve

    def log_message(self, *_):
        pass

    def date_time_string(self, timestamp=None):
        """The header Date: what the server takes for the time of day."""
        return super().date_time_string(self.server.world.clock.wall().timestamp() if timestamp is None else timestamp)

    def version_string(self):
        return "skep-test-aws"


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, world, port):
        super().__init__(("0.0.0.0", port), Handler)  # all of 127.0.0.0/8; verify_request refuses what is not
        self.world = world
        self.dispatch = Dispatch(world)
        self.stopped = threading.Event()

    def verify_request(self, request, client_address):
        return client_address[0].startswith("127.") and request.getsockname()[0].startswith("127.")

    def answer(self, request):
        try:
            if request.local_address != "127.0.0.1":
                with self.world.lock:
                    return metadata.answer(self.world, request)
            if request.path.startswith("/_control/"):
                with self.world.lock:
                    return control.answer(self.world, request)
            if request.path.startswith(TRUST + "/"):
                with self.world.lock:
                    return truststore(self.world, request)
            return self.dispatch.answer(request)
        except Dropped:
            raise
        except Exception as error:  # a mistake of this server: it is to be seen, and to fail the test
            traceback.print_exc()
            self.world.violations.append({"code": "ServerMistake", "message": repr(error)})
            return HttpAnswer(500, repr(error))

    def let_time_pass(self):
        while not self.stopped.wait(TICK_SECONDS):
            with self.world.lock:
                self.world.service(Instances).advance()


def arguments_of(arguments):
    parser = argparse.ArgumentParser(description="A fault server in place of AWS, for tests.")
    parser.add_argument("--port", type=int, default=0, help="0 (the default): the system picks one")
    parser.add_argument("--region", default="eu-central-1")
    parser.add_argument("--seed", type=int, default=0, help="of all chance in the server")
    parser.add_argument("--rate", type=float, default=1.0, help="virtual seconds in a real one")
    parser.add_argument("--access-key", default="AKIATESTOFSKEP000001")
    parser.add_argument("--secret-key", default="secret-of-the-test-account")
    parser.add_argument("--skep", default=os.environ.get("SKEP_BIN") or os.path.join(HERE, "../../build/skep"),
                        help="the program that instances run where a package is none")
    parser.add_argument("--directory", help="where the machines live; taken away in the end (default: a new one)")
    parser.add_argument("--no-machines", action="store_true", help="instances are records only: nothing is started")
    return parser.parse_args(arguments)


def end_with_parent():
    """SIGTERM when the parent dies, also if it has died by now."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(0)


def main(arguments):
    options = arguments_of(arguments)
    end_with_parent()
    # Several servers on one machine: each has its own addresses.
    network = random.SystemRandom().randrange(2, 250)
    world = World(options.region, options.seed, options.rate, options.access_key, options.secret_key, network)
    server = Server(world, options.port)
    endpoint = f"127.0.0.1:{server.server_address[1]}"
    directory = options.directory or tempfile.mkdtemp(prefix="skep-aws-")
    if not options.no_machines:
        os.makedirs(directory, exist_ok=True)
        world.machines = Machines(directory, os.path.abspath(options.skep), endpoint, world)
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    threads = [threading.Thread(target=server.serve_forever, args=(0.05,)), threading.Thread(target=server.let_time_pass)]
    for thread in threads:
        thread.start()
    print(f"listening on {endpoint}", flush=True)
    ending.wait()
    server.stopped.set()
    server.shutdown()
    for thread in threads:
        thread.join()
    if world.machines:
        world.machines.close()
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
