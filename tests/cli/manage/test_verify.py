"""`keyhall verify`: what it says to people, to machines and to scripts."""

import json
import sqlite3

from made_usage import made_usage

from keyhall.clock import ManualClock
from keyhall.flows.verify.anchors import Anchors
from keyhall.ledger.ledger import JournalLedger
from keyhall.ledger.spool import Spool
from keyhall.parts import locked
from keyhall.policy.metering import Endpoint, Outcome, UsageSource
from keyhall.ports.ledger import Opening

NOW_US = 1_800_000_000_000_000


def rows_of(first, count):
    return [made_usage(number, cost_nano=0) for number in range(first, first + count)]


def use(house, first=0, count=3):
    async def work(store):
        await store.record_usage(rows_of(first, count))
        await Anchors(store, ManualClock()).write()

    house.run(work)


def spoil(house, statement):
    connection = sqlite3.connect(house.database, isolation_level=None)
    connection.execute(statement)
    connection.close()


def test_what_adds_up_is_said_in_one_line(house, keyhall) -> None:
    use(house)
    said = keyhall("verify")
    assert said.startswith("Everything adds up: 3 usage rows in 1 batch of 1 writer, ")
    assert "with 1 anchor" in said
    assert said.count("\n") == 1
    found = keyhall.json("verify")
    assert found["ok"] is True
    assert (found["rows"], found["differences"]) == (3, [])


def test_each_difference_is_a_line_and_the_status_is_1(house, keyhall) -> None:
    use(house)
    spoil(house, "UPDATE usage SET output_tokens = 2 WHERE number = 1")
    said = keyhall("verify", status=1).splitlines()
    assert said[0].startswith("chain: batch 1 (writer ")
    assert "expected digest" in said[0]
    assert "found" in said[0]
    assert said[0].endswith("a value was changed in one of its rows (requests "
                            f"{0:032x} to {2:032x}).")  # fmt: skip
    assert said[-1].startswith("1 difference in 3 usage rows")
    told = json.loads(keyhall("verify", "--json", status=1))
    assert told["ok"] is False
    assert told["differences"][0]["check"] == "chain"
    assert {"where", "expected", "found", "means"} <= told["differences"][0].keys()


def test_r24_heads_that_were_kept_elsewhere_notice_a_rewritten_end(
    house, keyhall, tmp_path
) -> None:
    use(house)
    kept, as_json = tmp_path / "heads.txt", tmp_path / "heads.json"
    kept.write_text(keyhall("verify", "--heads"))
    as_json.write_text(keyhall("verify", "--heads", "--json"))
    assert len(kept.read_text().splitlines()) == 3, "a title, one writer, the audit"
    use(house, first=10)
    for path in (kept, as_json):
        assert "adds up" in keyhall("verify", "--against", str(path)), "the chains went on"
    for statement in (
        "DELETE FROM usage",
        "DELETE FROM usage_batches",
        "DELETE FROM audit WHERE action = 'chain.anchor'",
        "UPDATE sqlite_sequence SET seq = (SELECT max(number) FROM audit) WHERE name = 'audit'",
    ):
        spoil(house, statement)
    assert "adds up" in keyhall("verify"), "everything was rewritten, anchors and all"
    said = keyhall("verify", "--against", str(kept), status=1)
    assert said.count("head: ") == 2
    assert "the end of this chain was removed" in said


def test_a_file_that_holds_no_heads_is_refused(house, keyhall, tmp_path) -> None:
    for text in ("one two", "a b c", "{}", '{"heads": [{"writer": 1}]}'):
        (tmp_path / "f").write_text(text)
        assert "not what `keyhall verify --heads` prints" in keyhall.refused(
            "verify", "--against", str(tmp_path / "f")
        )


def test_a_folder_without_data_is_refused_and_stays_empty(fresh_keyhall) -> None:
    assert "There is no Keyhall data" in fresh_keyhall.refused("verify")
    assert not fresh_keyhall.data.exists()


def test_what_waits_for_the_next_start_is_said(house, keyhall) -> None:
    spooled = Spool(house.data)
    spooled.append(rows_of(7, 40))
    spooled.close()
    (house.data / "journal-1.bin.damaged-5").write_bytes(b"x")
    said = keyhall("verify")
    assert "40 settled requests in spool files, waiting for the next start." in said
    assert "Put aside by an earlier start, because it was damaged: journal-1.bin.damaged-5" in said


def test_files_that_cannot_be_read_are_differences(house, keyhall) -> None:
    (house.data / "journal-2.bin").write_bytes(b"no journal")
    (house.data / "spool-2.bin").write_bytes(b"no spool, whatever it is called")
    spooled = Spool(house.data)
    spooled.append(rows_of(7, 40))
    spooled.close()
    file = house.data / "spool-1.bin"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    said = keyhall("verify", status=1)
    assert "file: journal-2.bin: expected a journal; found" in said
    assert "file: spool-2.bin: expected a journal" not in said
    assert "file: spool-2.bin: expected a file of Keyhall; found" in said
    assert "file: spool-1.bin: expected records that fit their checks; found" in said
    assert "39 settled requests in spool files" in said


def test_a_journal_with_open_settled_and_damaged_slots_is_read_beside_its_server(
    house, keyhall
) -> None:
    from keyhall.ledger.journal import open_journal

    journal = open_journal(house.data / "journal-1.bin", slots=8)
    ledger = JournalLedger(journal, None)
    for number in range(3):
        ledger.open(opening(number))
    settled = ledger.open(opening(9))
    settled.settle(
        finished_at_us=NOW_US + 10, first_byte_us=1, input_tokens=1, output_tokens=1,
        outcome=Outcome.ANSWERED, usage_source=UsageSource.ENGINE,
    )  # fmt: skip
    with locked(house.data):
        said = keyhall("verify")
        assert "3 open and 1 settled requests in journals, in flight in the server" in said
    at = max(set(range(4096, 4096 + 8 * 256, 256)) - {*journal.free})
    journal.memory[at] ^= 1
    said = keyhall("verify", status=1)
    assert "file: journal-1.bin: expected slots that fit their checks; found a damaged slot" in said
    journal.close()


def opening(number):
    return Opening(number.to_bytes(16, "big"), "key_000000000000", "proj_000000000000",
                   "org_000000000000", "v1-sandbox-1", 1, Endpoint.CHAT, False, False, True,
                   NOW_US, 1, 9, 9, 0, 0)  # fmt: skip
