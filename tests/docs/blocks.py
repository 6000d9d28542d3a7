"""The code blocks of Markdown files, and what their info strings say is to be done with them: pure."""

import re
import shlex
from dataclasses import dataclass, field

SHELLS = {"sh", "bash", "zsh", "shell", "console"}
FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,}) *(?P<info>[^`]*)$")


@dataclass
class Block:
    file: str
    # Of its first line, behind the fence.
    line: int
    info: str
    text: str
    # "run", "ci" or "needs"; None for what is no shell block.
    mark: str | None = None
    # What it needs to be run, besides the program itself.
    needs: list[str] = field(default_factory=list)
    # Why it is not run.
    reason: str = ""
    # What is wrong with its info string.
    error: str = ""

    @property
    def place(self):
        return f"{self.file}:{self.line}"


def blocks_of(file, text):
    """All code blocks of a file, in order."""
    found, opened = [], None
    for number, line in enumerate(text.split("\n"), 1):
        match = FENCE.match(line)
        if opened is None:
            if match:
                opened = (match, number, [])
            continue
        begin, first, lines = opened
        if match and not match["info"].strip() and match["fence"].startswith(begin["fence"]):
            found.append(marked(Block(file, first + 1, begin["info"].strip(), "\n".join(lines) + "\n")))
            opened = None
        else:
            lines.append(line.removeprefix(begin["indent"]))
    if opened:
        found.append(Block(file, opened[1], "", "", error="the block has no end"))
    return found


def marked(block):
    """The block with what its info string says."""
    try:
        language, *marks = shlex.split(block.info) or [""]
    except ValueError as error:
        block.error = f"its info string cannot be read: {error}"
        return block
    if not language:
        block.error = "the block does not say its language"
    if language not in SHELLS:
        return block
    if len(marks) != 1:
        block.error = 'a shell block has one mark: run, run=aws,…, ci or needs="why it is not run"'
        return block
    block.mark, _, value = marks[0].partition("=")
    if block.mark == "run":
        block.needs = [need for need in value.split(",") if need]
    elif block.mark == "needs" and value.strip():
        block.reason = value.strip()
    elif marks[0] != "ci":
        block.error = f"nobody knows the mark {marks[0]!r}"
    return block


def commands(script):
    """The commands of a script of one-line commands: without comments, joined where they are continued."""
    lines = script.replace("\\\n", " ").split("\n")
    return [" ".join(line.split()) for line in lines if line.strip() and not line.lstrip().startswith("#")]


def without_quiet(command):
    return " ".join(word for word in command.split() if word != "--quiet")


def run_by_ci(ci, readme):
    """The commands that the steps of .ci/run run, those that it takes from the README among them."""
    steps = set()
    for line in ci.split("\n"):
        words = re.match(r'^ *step (?:"[^"]*"|\S+) (.*)$', line)
        if not words:
            continue
        from_readme = re.fullmatch(r'run_readme "([^"]*)"', words[1].strip())
        if from_readme:
            begins = (line for line in readme.split("\n") if line.startswith(from_readme[1]))
            steps.add(without_quiet(next(begins, "")))
        else:
            steps.add(without_quiet(words[1]))
    return steps | {".ci/run"}
