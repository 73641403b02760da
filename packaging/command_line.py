# SPDX-License-Identifier: Apache-2.0
"""command_line.py - the manual page and the completion of skep, made from what the program says of itself.

`command_line.py SKEP manual|completion` prints one of them. The options, defaults and exit codes are those that --help
prints, so neither can tell of what is not there, or leave out what is; the build runs this for the program it made.
"""
import os
import re
import subprocess
import sys

COLUMN = 30  # where help texts begin
# Defaults that are of the machine that asks.
OF_THE_MACHINE = {"--max-workers": "one for each core"}
OPTION = re.compile(r"(?:-(?P<letter>\w),)?(?P<flag>--[\w-]+)?(?P<name>[A-Z][A-Z_]*)?(?P<rest>.*)")


class Option:
    """One line of help. `flag` or `name`, what it takes, its default, the variable that sets it, and its text."""

    def __init__(self, left, text):
        match = OPTION.fullmatch(left)
        self.letter = match["letter"]
        self.flag = match["flag"]
        self.name = match["name"]
        rest = match["rest"]
        self.variable = (re.search(r"\(Env:(\w+)\)", rest) or [None, None])[1]
        rest = re.sub(r"\s*\(Env:\w+\)", "", rest).strip()
        self.is_required = "REQUIRED" in rest
        self.may_repeat = rest.endswith("...")
        self.choices = ((re.search(r"\{(.*?)\}", rest) or [None, ""])[1] or "").split(",") if "{" in rest else []
        kind, _, default = re.sub(r"\{.*?\}|REQUIRED|\.\.\.|:INT in \[.*?\]|:", "", rest, count=0).partition("=") \
            if ":" not in rest.partition("=")[2] else self._with_colons(rest)
        self.kind = kind.strip()
        self.default = OF_THE_MACHINE.get(self.flag, default.strip())
        self.text = text

    @staticmethod
    def _with_colons(rest):
        kind, equals, default = rest.partition("=")
        return kind.partition(":")[0], equals, re.sub(r"REQUIRED|\.\.\.", "", default)


class Command:
    def __init__(self, name, text):
        lines = text.rstrip().split("\n")
        self.name = name
        self.summary = lines[0]
        self.usage = next(line for line in lines if line.startswith("Usage: "))[7:]
        self.options, self.positionals, self.commands, self.footer = [], [], [], []
        lists = {"Options:": self.options, "Positionals:": self.positionals, "Subcommands:": self.commands}
        current = None
        for line in lines[2:]:
            if line in lists:
                current = lists[line]
            elif line and not line.startswith("  ") and current is not None:
                current = None
                self.footer.append(line)
            elif current is None and (line or self.footer) and line != "Usage: " + self.usage:
                self.footer.append(line)
            elif line.startswith(" " * COLUMN) and current:
                current[-1].text = (current[-1].text + " " + line.strip()).strip()
            elif line.strip() and current is not None:
                current.append(Option(*split(line)))


def split(line):
    """The two columns of a line of help; the second may stand on the next line."""
    left, right = line[:COLUMN], line[COLUMN:]
    if right and left.endswith(" ") and left.count("(") == left.count(")") and not right.startswith("("):
        return left.strip(), right
    return line.strip(), ""


def ask(program, *arguments):
    environment = {"HOME": "/HOME", "PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8"}
    return subprocess.run([program, *arguments, "--help"], env=environment, stdout=subprocess.PIPE, check=True,
                          timeout=60).stdout.decode().replace("/HOME/", "~/")


def read(program):
    """The program itself, and its commands by name."""
    top = Command("", ask(program))
    names = re.findall(r"^  (\w[\w-]*)  ", ask(program).partition("Subcommands:")[2].partition("\n\n")[0], re.M)
    return top, [Command(name, ask(program, name)) for name in names]


# ---- the manual page ----

def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("~", "\\(ti").replace("^", "\\(ha").replace("`", "\\(ga")
    return "\\&" + text if text.startswith((".", "'")) else text


def _described(option):
    head = ", ".join(f"\\fB{roff(word)}\\fR" for word in (f"-{option.letter}" if option.letter else "", option.flag or "",
                                                        option.name or "") if word)
    if option.choices:
        head += " " + "|".join(f"\\fB{roff(word)}\\fR" for word in option.choices)
    elif option.kind:
        head += f" \\fI{roff(option.kind)}\\fR"
    facts = [f"default: {option.default}"] if option.default not in ("", "[]") else []
    facts += [f"environment: {option.variable}"] if option.variable else []
    text = roff(option.text + (f" ({'; '.join(facts)})" if facts else ""))
    return [".TP", head, text or "\\&"]


def _block(lines):
    return [".PP", ".nf", *[roff(line) for line in lines], ".fi"]


def manual(program):
    top, commands = read(program)
    version = subprocess.run([program, "version"], stdout=subprocess.PIPE, check=True, timeout=60).stdout.decode().split()[-1]
    made = [f'.TH SKEP 1 "" "skep {version}" "User Commands"', ".SH NAME", "skep \\- " + roff(top.summary.partition(": ")[2]),
            ".SH SYNOPSIS", "\\fBskep\\fR [\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGUMENTS\\fR]", ".SH DESCRIPTION",
            "Clients put bodies of bytes on a queue over HTTP; workers lease them, compute, and return results; clients pull",
            "what is completed. A manager serves the queue and sizes the fleet of workers. What was acknowledged is on disk.",
            ".SH OPTIONS"]
    for option in top.options:
        made += _described(option)
    made.append(".SH COMMANDS")
    for command in commands:
        made += [f".SS {roff(command.name)}", roff(command.summary) + ".", ".PP", f"\\fB{roff(command.usage)}\\fR"]
        for option in [*command.positionals, *[one for one in command.options if one.flag != "--help"]]:
            made += _described(option)
        made += _block(command.footer) if command.footer else []
    codes = "\n".join(top.footer).partition("Exit codes:")[2]
    pairs = re.findall(r"(\d+) ((?:[^,(]|\([^)]*\))+)", " ".join(codes.split()))
    made.append(".SH EXIT STATUS")
    for code, text in pairs:
        made += [".TP", f"\\fB{code}\\fR", roff(text.strip())]
    made += [".SH FILES", ".TP", "\\fI/etc/skep/skep.toml\\fR", "Settings of the services.", ".TP", "\\fI/var/lib/skep\\fR",
             "What the services keep.", ".SH SEE ALSO", "\\fBsystemctl\\fR(1); skep\\-manager.service and skep\\-worker.service."]
    return "\n".join(made) + "\n"


# ---- completion for bash ----

def completion(program):
    top, commands = read(program)
    flags = " ".join(option.flag for option in top.options)
    words = [f"    {command.name}) words='{_words(command)}' ;;" for command in commands]
    choices, files = {}, {"--config"}
    for command in commands:
        for option in command.options:
            if option.choices:
                choices[f"{command.name} {option.flag}"] = option.choices
            if option.kind in ("FILE", "DIR"):
                files.add(option.flag)
    values = [f"    '{key}') values='{' '.join(value)}' ;;" for key, value in sorted(choices.items())]
    return f"""# bash completion for skep, made from its --help
_skep() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}} command='' word words values=''
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case $word in
    {"|".join(command.name for command in commands)}) command=$word; break ;;
    esac
  done
  case $prev in
  {"|".join(sorted(files))}) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
  esac
  case "$command $prev" in
{chr(10).join(values)}
  esac
  if [ -n "$values" ]; then
    mapfile -t COMPREPLY < <(compgen -W "$values" -- "$cur")
    return
  fi
  case $command in
{chr(10).join(words)}
    *) words='{" ".join(command.name for command in commands)} {flags}' ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
  case $command in
  {"|".join(command.name for command in commands if any(one.name in ("FILE", "FILES", "DIR") for one in command.positionals))})
    [[ $cur == -* ]] || mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
  esac
}}
complete -o filenames -F _skep skep
"""


def _words(command):
    found = [option.flag for option in command.options]
    for option in command.positionals:
        found += option.choices
    return " ".join(found)


if __name__ == "__main__":
    print({"manual": manual, "completion": completion}[sys.argv[2]](sys.argv[1]), end="")
