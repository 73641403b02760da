# SPDX-License-Identifier: Apache-2.0
"""Goal: the wheel is whole, the types are strict, and what README and examples show works.

Method: Debian's build, pip and mypy, without network; README's marked blocks one after the other in an empty directory;
each example as its documentation says, with a manager and workers of the test's own.
"""
import ast
import glob
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
from conftest import ROOT, SOURCE
from harness import BIN, QUICK, Process, wait_until

CLIENT = os.path.join(ROOT, "clients", "python")
EXAMPLES = os.path.join(CLIENT, "examples")
PATIENCE = 50


def run(arguments, **more):
    ended = subprocess.run(arguments, capture_output=True, text=True, timeout=PATIENCE, check=False, **more)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_the_wheel_is_built_installed_and_imported(tmp_path):
    source = tmp_path / "source"
    shutil.copytree(CLIENT, source, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build", ".mypy_cache"))
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, source])
    (wheel,) = glob.glob(str(tmp_path / "skep-*-py3-none-any.whl"))
    (pip,) = glob.glob("/usr/share/python-wheels/pip-*.whl")
    run([sys.executable, f"{pip}/pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile", "--target",
         tmp_path / "installed", wheel])
    modules = {os.path.basename(path) for path in glob.glob(os.path.join(SOURCE, "skep", "*.py"))}
    assert set(os.listdir(tmp_path / "installed" / "skep")) - {"__pycache__"} == modules | {"py.typed"}
    script = "import skep, sys; print(skep.__version__, skep.__file__); sys.exit(skep.Client('http://a:1').manager != 'http://a:1')"
    version, path = run([sys.executable, "-B", "-c", script], cwd="/", env={"PYTHONPATH": str(tmp_path / "installed")}).split()
    assert path.startswith(str(tmp_path)) and version == run([BIN, "--version"]).split()[-1]
    listed = run([sys.executable, "-B", "-m", "skep", "worker", "--help"], cwd="/",
                 env={"PYTHONPATH": str(tmp_path / "installed")})
    assert "--allow-pickle" in listed


def test_types_are_strict_and_right_for_callers(tmp_path):
    caller = tmp_path / "caller.py"
    caller.write_text("import skep\nclient = skep.Client()\n"
                      "reveal_type(client.enqueue(b'', iterations=1).id)\n"
                      "with skep.Executor() as fleet:\n"
                      "    reveal_type(fleet.submit(len, 'text'))\n"
                      "    reveal_type([found for found in fleet.map(len, ['text'])])\n"
                      "client.enqueue(5, iterations=1)\n")
    said = subprocess.run(["/usr/bin/mypy", "--strict", "--python-version", "3.9", "--cache-dir", tmp_path / "cache",
                           "--no-error-summary", os.path.join(SOURCE, "skep"),
                           caller], capture_output=True, text=True, timeout=PATIENCE, check=False)
    notes = re.findall(r'caller.py:(\d+): \w+: (?:Revealed type is "(.*)"|Argument 1 to "enqueue")', said.stdout)
    assert [line for line, _ in notes] == ["3", "5", "6", "7"] and len(said.stdout.splitlines()) == 4, said.stdout + said.stderr
    assert [kind for _, kind in notes] == ["builtins.str", "skep.executor.TaskFuture[builtins.int]",
                                           "builtins.list[builtins.int]", ""]


def environment(manager, *folders):
    return {**os.environ, "SKEP_MANAGER": manager.url, "PYTHONPATH": os.pathsep.join([SOURCE, *map(str, folders)])}


@pytest.fixture
def fleet(lab):
    """skep up, which computes hashes, and a Python worker that offers the examples' functions."""
    manager = lab.manager(["--min-workers", "1", "--max-workers", "2", *QUICK], command="up")
    worker = Process(lab, "python-worker", [sys.executable, "-B", "-m", "skep", "worker", "words",
                                            "map_over_fleet:count_primes", "--slots", "2"],
                     {name: value for name, value in environment(manager, EXAMPLES).items() if name != "SKEP_BIN"})
    wait_until(lambda: "registered" in worker.log(), "the worker")
    return manager


def test_each_example_works(fleet, tmp_path):
    arguments = {"count_words.py": ["/usr/share/common-licenses/GPL-3", str(tmp_path / "missing"), __file__]}
    said = {}
    for path in sorted(glob.glob(os.path.join(EXAMPLES, "*.py"))):
        name = os.path.basename(path)
        if name == "words.py":
            continue  # it has what others call
        said[name] = run([sys.executable, "-B", path, *arguments.get(name, [])], env=environment(fleet))
    assert said.pop("map_over_fleet.py") == "2262 primes below 20,000\n"
    assert said.pop("many_at_once.py") == "100 different results\n"
    assert said.pop("producer_and_consumer.py") == "500 tasks are on stable storage\n500 results were taken\n"
    words = said.pop("count_words.py").splitlines()
    assert len(words) == 3 and any(line.startswith("/usr/share/common-licenses/GPL-3 the ") for line in words)
    assert any("can not be read" in line for line in words) and not said


def test_one_example_has_at_most_ten_lines():
    with open(os.path.join(EXAMPLES, "map_over_fleet.py"), encoding="utf-8") as file:
        text = file.read()
    doc = ast.parse(text).body[0]
    lines = [line for line in text.splitlines()[doc.end_lineno:] if line.strip()]
    assert len(lines) <= 10


BLOCK = re.compile(r"^<!-- test(?:: file (\S+))? -->\n```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_blocks_of_the_readme_work(lab, tmp_path):
    with open(os.path.join(CLIENT, "README.md"), encoding="utf-8") as file:
        text = file.read()
    blocks = BLOCK.findall(text)
    assert len(blocks) == text.count("\n<!-- test") >= 6, "a mark without its block"
    manager = lab.manager(["--min-workers", "1", "--max-workers", "2", *QUICK], command="up")
    shell = {**environment(manager, tmp_path), lab.mark.partition("=")[0]: lab.mark.partition("=")[2]}
    (tmp_path / "python3").symlink_to(sys.executable)
    shell["PATH"] = f"{tmp_path}:{os.environ['PATH']}"
    for name, language, body in blocks:
        if name:
            (tmp_path / name).write_text(body)
        elif language == "python":
            run([sys.executable, "-B", "-c", body], cwd=tmp_path, env=shell)
        else:
            output = tmp_path / "output"
            with open(output, "w", encoding="utf-8") as file:
                ended = subprocess.run(["bash", "-euc", body], cwd=tmp_path, env=shell, stdout=file, stderr=file,
                                       timeout=PATIENCE, check=False)
            assert ended.returncode == 0, body + output.read_text()
    for pid in lab.survivors():
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            if b"primes" in file.read():
                os.kill(pid, signal.SIGTERM)
