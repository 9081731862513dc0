"""A small reader of Dockerfiles: stages and their instructions, as far as ours go."""

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"


@dataclass(frozen=True, slots=True)
class Instruction:
    word: str
    text: str

    @property
    def flags(self) -> dict[str, str]:
        """`--name=value` before the arguments."""
        return dict(re.findall(r"--([a-z-]+)=(\S+)", self._split()[0]))

    @property
    def rest(self) -> str:
        return self._split()[1]

    @property
    def words(self) -> list[str]:
        """The arguments: of the JSON form, else split as a shell does."""
        if self.rest.startswith("["):
            words: list[str] = json.loads(self.rest)
            return words
        return shlex.split(self.rest)

    def _split(self) -> tuple[str, str]:
        found = re.fullmatch(r"((?:--\S+\s+)*)(.*)", self.text, re.DOTALL)
        assert found is not None
        return found[1], found[2]


@dataclass(slots=True)
class Stage:
    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, word: str) -> list[Instruction]:
        return [each for each in self.instructions if each.word == word]

    def last(self, word: str) -> Instruction:
        return self.all(word)[-1]

    @property
    def environment(self) -> dict[str, str]:
        """What ENV sets; `$PATH` stands as it is."""
        words = [word for each in self.all("ENV") for word in each.words]
        return dict(word.split("=", 1) for word in words)


def read(text: str) -> list[Stage]:
    lines = [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        word, _, given = line.partition(" ")
        if word == "ARG" and not stages:
            name, _, value = given.partition("=")
            arguments[name] = value
        elif word == "FROM":
            base, _, name = given.partition(" AS ")
            stages.append(Stage(re.sub(r"\$\{(\w+)\}", lambda it: arguments[it[1]], base), name))
        else:
            stages[-1].instructions.append(Instruction(word, given.strip()))
    return stages


def stages() -> list[Stage]:
    return read(DOCKERFILE.read_text(encoding="utf-8"))
