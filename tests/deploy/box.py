"""A root file system of its own for a command, as a container has one, made without a daemon.

A `Box` is a folder that becomes `/` in a mount namespace: this machine's programs (`/usr`, and
where Python lives) are in it read-only. `build` follows a Dockerfile on such boxes instead of the
base images that it names, with every other instruction as it stands. `spawn` can make everything
read-only but what is named, and give the command a user's number and no capability.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from dockerfile import ROOT, Stage

USUAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LINKS = ("bin", "sbin", "lib", "lib64")
# Who is not root may still have a namespace in which he is.
NAMESPACE = ["unshare", "--mount", "--propagation", "private"]
NAMESPACE += [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
BUILD_SECONDS_MAX = 300


@cache
def why_no_box() -> str:
    """Why there can be none here; empty if there can."""
    if not sys.platform.startswith("linux") or not shutil.which("unshare"):
        return "a root file system of its own needs Linux and unshare"
    if not all((Path("/") / name).is_symlink() for name in ("bin", "lib")):
        return "this system keeps programs outside /usr"
    trial = "mount -t tmpfs none /mnt && mount -o remount,ro /mnt && ! touch /mnt/x 2>/dev/null"
    done = subprocess.run([*NAMESPACE, "sh", "-c", trial], capture_output=True, text=True)
    return "" if done.returncode == 0 else f"no mounts are allowed here: {done.stderr.strip()}"


@dataclass(slots=True)
class Box:
    """`binds` are folders of this machine that stand in the box under their own names."""

    root: Path
    binds: Sequence[Path] = ()
    has_own_etc: bool = False

    def __post_init__(self) -> None:
        for name in ("usr", "proc", "dev", "tmp", "opt", "etc", "data", "home"):
            (self.root / name).mkdir(parents=True)
        for name in LINKS:
            if (Path("/") / name).is_symlink():
                (self.root / name).symlink_to(os.readlink(Path("/") / name))
        if self.has_own_etc:
            subprocess.run(["cp", "-a", "/etc/.", str(self.root / "etc")], check=True)

    def shown(self) -> list[Path]:
        """Folders of this machine that are in the box, and may not be written."""
        python = Path(sys.base_prefix)
        found = [Path("/usr"), *self.binds, *([] if self.has_own_etc else [Path("/etc")])]
        return found if python.is_relative_to("/usr") else [*found, python]

    def command(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: str = "/",
        data: Path | None = None,
        user: str = "",
    ) -> list[str]:
        """`command` inside. With `data`, that is `/data`, and nothing else but /tmp is writable."""
        at = shlex.quote(str(self.root))
        lines = ["set -e", f"mount --bind {at} {at}", f"cd {at}"]
        if data is not None:
            lines += ["mount -t tmpfs -o mode=1777 none tmp"]
        for path in self.shown():
            here = shlex.quote(str(path.relative_to("/")))
            lines += [f"mkdir -p {here}", f"mount --rbind {shlex.quote(str(path))} {here}"]
            lines += [f"mount -o remount,bind,ro {here}"]
        lines += ["mount --rbind /proc proc", "mount --rbind /dev dev"]
        if data is not None:
            lines += [f"mount --bind {shlex.quote(str(data))} data", "mount -o remount,bind,ro ."]
        inside = ["chroot", ".", "env", "-i", "-C", folder]
        inside += [f"{name}={value}" for name, value in environment.items()]
        if user:
            number, _, group = user.partition(":")
            inside += ["setpriv", "--reuid", number, "--regid", group, "--clear-groups"]
            inside += ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
        lines.append(f"exec {shlex.join([*inside, *command])}")
        return [*NAMESPACE, "sh", "-c", "\n".join(lines)]


@dataclass(slots=True)
class Image:
    """What a Dockerfile makes: a box, and how to run in it."""

    box: Box
    stage: Stage
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "/"

    def command(self, arguments: Sequence[str], data: Path, **settings: str) -> list[str]:
        """As the image's user, with nothing writable but `data` and /tmp."""
        given = {"HOME": "/data", **self.environment, **settings}
        user = self.stage.last("USER").rest
        return self.box.command(arguments, given, self.folder, data, user)

    def serve(self) -> list[str]:
        return self.stage.last("ENTRYPOINT").words + self.stage.last("CMD").words

    def healthcheck(self) -> list[str]:
        words = self.stage.last("HEALTHCHECK").rest.removeprefix("CMD").strip()
        found: list[str] = json.loads(words)
        return found


def build(stages: Sequence[Stage], folder: Path) -> Image:
    """Follow every instruction that changes files or how the image runs."""
    made: dict[str, Image] = {}
    for number, stage in enumerate(stages):
        image = Image(Box(folder / f"stage-{number}", has_own_etc=True), stage)
        image.environment["PATH"] = f"{Path(sys.base_prefix) / 'bin'}:{USUAL_PATH}"
        for each in stage.instructions:
            _follow(image, each.word, each, made)
        made[stage.name] = image
    return made[stages[-1].name]


def _follow(image: Image, word: str, each: Any, made: Mapping[str, Image]) -> None:
    inside = image.box.root / image.folder.lstrip("/")
    if word == "ENV":
        for name, value in (text.split("=", 1) for text in each.words):
            image.environment[name] = value.replace("$PATH", image.environment["PATH"])
    elif word == "WORKDIR":
        image.folder = each.rest
        (image.box.root / each.rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
    elif word == "COPY":
        *sources, target = each.words
        start = made[each.flags["from"]].box.root if "from" in each.flags else ROOT
        into = image.box.root / target.lstrip("/") if target.startswith("/") else inside / target
        for source in sources:
            _copy(start / source.lstrip("/"), into, is_folder=target.endswith("/"))
    elif word == "RUN":
        environment = {**os.environ, **image.environment}
        command = image.box.command(["sh", "-ec", each.rest], environment, image.folder)
        done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_SECONDS_MAX)
        assert done.returncode == 0, f"RUN {each.rest}\n{done.stdout}{done.stderr}"


def _copy(source: Path, target: Path, is_folder: bool) -> None:
    if source.is_dir():
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, ignore=ignored)
        return
    into = target / source.name if is_folder or target.is_dir() else target
    into.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, into)
