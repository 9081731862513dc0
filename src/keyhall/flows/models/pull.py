"""Model files from the Hugging Face hub, by its own library (an extra: `keyhall[hub]`).

The hub says beforehand how large a file is and what its SHA-256 is; what arrives is compared with
that before it gets its name. Until then it is a part, named by its hash: a transfer that was cut,
by the network or by whoever watched it, goes on from there when the same command is run again. (The
library's own download begins anew with each process, so its transfer is used, into our file.)

Nothing here runs unless an operator says `keyhall models pull`.
"""

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, BinaryIO, Self

from keyhall.flows.manage.checks import Invalid, NotFound, Refused
from keyhall.flows.models import files
from keyhall.flows.models.choose import Listed, choose
from keyhall.flows.models.files import Progress

SPARE_BYTES = 256 << 20  # what a download leaves free of the disk
API_SECONDS = 30.0
INSTALL = "Pulling needs Hugging Face's own library: pip install 'keyhall[hub]'"

_FILE = re.compile(r"[A-Za-z0-9][\w.+-]*", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Offer:
    """One file that can be fetched: of which repository, in which state."""

    repo: str
    revision: str  # a commit, so that what is fetched is what was offered
    file: Listed
    license: str


class Hub:
    """The hub, or a server that speaks as it does. Raises Refused for all that goes wrong."""

    def __init__(self, endpoint: str | None, token: str | None) -> None:
        try:
            import huggingface_hub
        except ImportError:
            raise Refused(INSTALL) from None
        self._library = huggingface_hub
        self._endpoint = endpoint
        self._token = token or None
        self._api = huggingface_hub.HfApi(endpoint=endpoint, token=self._token)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._library.close_session()

    def offer(self, repo: str, pattern: str | None, revision: str | None) -> Offer:
        """The file that is meant, as the hub describes it."""
        with self._explained(repo):
            info = self._api.model_info(
                repo, revision=revision, files_metadata=True, timeout=API_SECONDS
            )
        found = [
            Listed(each.rfilename, each.size or 0, each.lfs.sha256 if each.lfs else "")
            for each in info.siblings or ()
        ]
        file = choose(repo, found, pattern)
        if not _SHA256.fullmatch(file.sha256) or file.size < 1:
            raise Invalid(f"The hub does not say the checksum of {file.name}: it is not fetched.")
        card = info.card_data
        named = card.get("license") if card is not None else None
        return Offer(repo, info.sha or revision or "main", file, str(named or ""))

    def fetch(self, offer: Offer, folder: Path, progress: Progress) -> Path:
        """Have the file in the folder, whole and compared; at once if it is there already."""
        place = folder / offer.repo.replace("/", "--")
        target = place / _file_name(offer.file.name)
        if target.exists():
            if files.hash_of(target, progress) == offer.file.sha256:
                return target
            raise Invalid(
                f"{target} is another file, of an earlier revision perhaps: move it away, or "
                "remove its model with --delete-file, and pull again."
            )
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = place / f".{offer.file.sha256}.part"
        with _alone(part) as file:
            self._transfer(offer, file, progress)
            file.flush()
            os.fsync(file.fileno())
            if files.hash_of(part, progress) != offer.file.sha256:
                part.unlink()
                raise Refused(
                    f"What arrived of {offer.file.name} is not what the hub describes: its "
                    "SHA-256 is another. It was deleted; pull it again."
                )
            part.rename(target)
        return target

    def _transfer(self, offer: Offer, file: BinaryIO, progress: Progress) -> None:
        """Append what is missing."""
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        have, size = file.tell(), offer.file.size
        if have > size:
            file.truncate(0)
            have = 0
        if shutil.disk_usage(os.path.dirname(file.name)).free < size - have + SPARE_BYTES:
            raise Refused(f"The disk has no room for {size / 1e9:.2f} GB: {file.name}.")
        url = self._library.hf_hub_url(
            offer.repo, offer.file.name, revision=offer.revision, endpoint=self._endpoint
        )
        with self._explained(offer.repo):
            http_get(
                url,
                file,
                resume_size=have,
                headers=build_hf_headers(token=self._token),
                expected_size=size,
                tqdm_class=_bar(progress, size),
            )

    @contextlib.contextmanager
    def _explained(self, repo: str) -> Iterator[None]:
        """What the library raises, as what to do."""
        from httpx2 import HTTPError
        from huggingface_hub import errors

        site = self._endpoint or "https://huggingface.co"
        try:
            yield
        except errors.GatedRepoError:
            raise Refused(
                f"{repo} is for those who accepted its terms: do so at {site}/{repo}, then set "
                "HF_TOKEN to an access token of yours."
            ) from None
        except errors.RepositoryNotFoundError:
            raise NotFound(
                f"{site} has no repository {repo}, or not for everybody: if it is private, set "
                "HF_TOKEN to an access token of yours."
            ) from None
        except errors.RevisionNotFoundError:
            raise NotFound(f"{repo} has no such revision: look at {site}/{repo}/commits.") from None
        except errors.OfflineModeIsEnabled:
            raise Refused("HF_HUB_OFFLINE is set, so nothing is fetched: unset it.") from None
        except errors.HfHubHTTPError as error:
            status = error.response.status_code
            raise Refused(
                f"{site} answered {status}"
                f"{': HF_TOKEN is not accepted' if status in (401, 403) else ''}. Try again later, "
                "or fetch the file by other means and `keyhall models add` it."
            ) from None
        except (HTTPError, ConnectionError) as error:
            raise Refused(
                f"The transfer from {site} failed: {str(error).rstrip('.') or type(error).__name__}"
                ". Run the same command again: it goes on from there. Without a network, bring the "
                "file by other means and `keyhall models add` it."
            ) from None
        except (OSError, ValueError) as error:
            said = " ".join(str(error).split()).rstrip(".")
            raise Refused(f"The transfer from {site} failed: {said}.") from None


@contextlib.contextmanager
def _alone(part: Path) -> Iterator[BinaryIO]:
    """The part, open at its end; nobody else writes to it meanwhile."""
    with part.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Refused("Somebody is pulling the same file: wait until that is done.") from None
        try:
            yield file
        finally:
            if part.exists() and part.stat().st_size == 0:  # Nothing came.
                part.unlink()


def _file_name(name: str) -> str:
    """Without folders; what a hub calls a file is not to name one of ours."""
    last = PurePosixPath(name).name
    if not _FILE.fullmatch(last):
        raise Invalid(f"The hub calls the file {last!r}: that cannot be a file's name here.")
    return last


def _bar(progress: Progress, size: int) -> Any:
    """What the library takes for a progress bar, told to ours."""

    class Bar:
        def __init__(self, *, initial: int = 0, **_given: object) -> None:
            self._done = initial

        def update(self, count: float | None = 1) -> None:
            self._done += int(count or 0)
            progress("Downloading", self._done, size)

        def __enter__(self) -> Self:
            return self

        def __exit__(
            self,
            _kind: type[BaseException] | None,
            _error: BaseException | None,
            _trace: TracebackType | None,
        ) -> None:
            pass

    return Bar
