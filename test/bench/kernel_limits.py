#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kernel_limits.py - how far the kernels are from the machine's limit: `kernel_limits.py PROGRAM` prints it as JSON.

Three views of the chain loop of each kernel in the bench program:
- its instructions, read from the disassembly with its inner loop written out as often as it runs;
- llvm-mca's bound by the execution units alone, and its simulated cycles with all dependencies, for some processors;
- callgrind's count of what was really executed, which checks the first. Valgrind 3.19 has no AVX-512.
"""
import json
import re
import subprocess
import sys

MODELS = ("znver4", "icelake-server", "sapphirerapids")  # LLVM 19 takes Zen 4's tables for Zen 5
INNER_RUNS = 3  # sixteen rounds each: 32 to 79
LANES = {"AVX3": 8, "AVX2": 4, "SSE4": 2}
NAMES = {"AVX3": "avx512", "AVX2": "avx2", "SSE4": "sse4"}
MCA_STEPS = 20
SECONDS_MAX = 600


def functions(program):
    """Name -> [(address, instruction)] of the chain kernels."""
    text = subprocess.run(["objdump", "-d", "-C", "--no-show-raw-insn", program], capture_output=True, check=True,
                          text=True, timeout=SECONDS_MAX).stdout
    return functions_in(text)


def functions_in(text):
    found, lines = {}, None
    for line in text.splitlines():
        head = re.match(r"[0-9a-f]+ <(.*)>:$", line)
        if head:
            name = kernel_name(head.group(1))
            lines = found.setdefault(name, []) if name else None
            continue
        instruction = re.match(r"\s*([0-9a-f]+):\s+(\S.*?)\s*(?:#.*)?$", line)
        if instruction and lines is not None:
            lines.append((int(instruction.group(1), 16), re.sub(r"\s*<[^<>].*$", "", instruction.group(2))))
    return found


def kernel_name(symbol):
    """As Kernel::name has it, from the forms that the template was made for; None for other functions."""
    match = re.match(r"void skep::compute::N_(\w+)::chain_kernel<(.*)>\(", symbol)
    if not match or match.group(1) not in LANES:
        return None
    target, forms = match.groups()
    wide = LANES[target]
    parts = [wide if part == "Vector" else 1 for part in re.findall(r"\b(Vector|Scalar)\b", forms)]
    form = f"2x{wide}" if parts == [wide, wide] else "+".join(map(str, parts))
    return f"{NAMES[target]} {form}"


def one_step(instructions):
    """The instructions of one step, the inner loop written out; None if the loops are not as expected."""
    index = {address: i for i, (address, _) in enumerate(instructions)}
    loops = []  # (first, last) of each
    for i, (address, text) in enumerate(instructions):
        jump = re.match(r"j\w+\s+([0-9a-f]+)$", text)
        if jump and int(jump.group(1), 16) <= address and int(jump.group(1), 16) in index:
            loops.append((index[int(jump.group(1), 16)], i))
    outer = max(loops, key=lambda loop: loop[1] - loop[0], default=None)
    inner = [loop for loop in loops if loop != outer and outer[0] <= loop[0] and loop[1] < outer[1]]
    if len(inner) != 1:
        return None
    texts = [text for _, text in instructions]
    first, last = inner[0]
    return texts[outer[0]:first] + INNER_RUNS * texts[first:last + 1] + texts[last + 1:outer[1] + 1]


def is_vector(text):
    return bool(re.search(r"%[xyz]mm", text))


def analyse(step, model):
    """llvm-mca of the step, again and again. Jumps are left out: they are predicted."""
    text = "\n".join(line for line in step if not re.match(r"j\w+\s", line))
    done = subprocess.run(["llvm-mca-19", "-mtriple=x86_64", f"-mcpu={model}", f"-iterations={MCA_STEPS}", "-json"],
                          input=text, capture_output=True, check=True, text=True, timeout=SECONDS_MAX)
    view = json.loads(done.stdout)["CodeRegions"][0]["SummaryView"]
    return {"model": model, "bound": view["BlockRThroughput"], "simulated": view["TotalCycles"] / MCA_STEPS}


def executed(program, name, rounds):
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, "loop", name,
                           str(rounds)], capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    count = re.search(r"Collected : (\d+)", done.stderr)
    return (int(count.group(1)), int(done.stdout)) if done.returncode == 0 and count else None


def instructions_a_hash(program, name):
    """By the difference of two runs, which are alike but for the rounds. None where valgrind can not run it."""
    less, more = executed(program, name, 1_000), executed(program, name, 21_000)
    return (more[0] - less[0]) / (more[1] - less[1]) if less and more else None


def model_of_this_machine():
    """As LLVM names the processor."""
    text = subprocess.run(["llvm-mca-19", "--version"], capture_output=True, check=True, text=True, timeout=SECONDS_MAX).stdout
    match = re.search(r"Host CPU: (\S+)", text)
    return match.group(1) if match else "unknown"


def measure(program, names):
    kernels = []
    loops = functions(program)
    for name in names:
        row = {"name": name}
        step = one_step(loops[name]) if name in loops else None
        if step:
            row.update(instructions=len(step), vector=sum(map(is_vector, step)),
                       mca=[analyse(step, model) for model in MODELS])
        count = instructions_a_hash(program, name)
        if count:
            row["callgrind"] = count
        kernels.append(row)
    return {"models": list(MODELS), "host": model_of_this_machine(), "kernels": kernels}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], ["openssl evp", "openssl", *sorted(functions(sys.argv[1]))]), indent=1))
