"""I-4: no file in the data folder ever holds a key."""

import asyncio
import os

from keyhall.flows import first_run
from keyhall.stores.pepper import load_peppers
from keyhall.stores.sqlite import open_store


def test_i4_no_key_is_in_any_file_of_the_data_folder(fresh_keyhall) -> None:
    """A whole life of keys through the command line, then every byte of every file is read; also
    while the database is open, when its log and shared memory are there."""
    data = fresh_keyhall.data
    texts = []
    for number in range(3):
        texts.append(fresh_keyhall.json("keys", "create", "--name", f"app {number}")["key"])
        texts.append(fresh_keyhall.json("keys", "rotate", f"app {number}", "--overlap", "0")["key"])
        fresh_keyhall("keys", "rename", f"app {number}", "renamed")
        fresh_keyhall("keys", "revoke", "renamed", "--reason", "test")

    async def inside():
        async with await open_store(data / "keyhall.db") as store:
            await first_run.prepare(store, load_peppers(data), 1, os.urandom)
            await store.touch_keys({"key_000000000000": 1})
            return files(data)

    while_open = asyncio.run(inside())
    secrets = [text.rpartition("_")[2].encode() for text in texts]
    assert len(secrets) == 6
    for found in (while_open, files(data)):
        assert {"keyhall.db", "pepper"} <= set(found)
        for name, content in found.items():
            for secret in secrets:
                for part in (secret, secret[:-6], secret[:20], secret[10:30]):
                    assert part not in content, name
    assert {"keyhall.db-wal", "keyhall.db-shm"} <= set(while_open)


def files(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_i4_the_pepper_is_in_no_file_but_its_own(fresh_keyhall) -> None:
    fresh_keyhall("keys", "create", "--name", "app")
    (pepper,) = load_peppers(fresh_keyhall.data)
    holding = [
        name
        for name, content in files(fresh_keyhall.data).items()
        if pepper in content or pepper.hex().encode() in content
    ]
    assert holding == ["pepper"]
