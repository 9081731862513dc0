"""Rebuild src/keyhall/flows/accounts/leaked.bin: passwords that leaked, as digests.

Run by hand with a list of passwords, one a line: `python tools/build_leaked.py LIST`. Ours is the
10-million-password-list-top-1000000 of SecLists, of which it keeps what is long enough for us, in
small letters. Five bytes of a SHA-256 of each, sorted, are enough to know one again, and nobody has
to read what people call their passwords.
"""

import sys
from hashlib import sha256
from pathlib import Path

from keyhall.flows.accounts.passwords import DIGEST_BYTES, LEAKED
from keyhall.policy.people.letting_in import PASSWORD_CHARACTERS


def main() -> None:
    lines = Path(sys.argv[1]).read_text(encoding="utf-8", errors="replace").splitlines()
    kept = {line.lower() for line in lines if len(line) in PASSWORD_CHARACTERS}
    digests = sorted({sha256(each.encode()).digest()[:DIGEST_BYTES] for each in kept})
    LEAKED.write_bytes(b"".join(digests))
    print(f"{len(digests):,} passwords of {PASSWORD_CHARACTERS.start} characters and more")


if __name__ == "__main__":
    main()
