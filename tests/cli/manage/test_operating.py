"""`keyhall audit`, `asks`, and what engines and projects learned: as the console does them."""

import msgspec


def test_the_audit_lists_who_did_what(keyhall) -> None:
    keyhall("projects", "create", "--name", "web")
    assert "renamed" not in keyhall("audit")
    assert "is called shop now" in keyhall("projects", "rename", "web", "shop")
    assert "renamed the project" in keyhall("audit", "--action", "project")
    (row,) = keyhall.json("audit", "--action", "project.rename", "--since", "1h")
    assert (row["before"], row["after"]) == ({"name": "web"}, {"name": "shop"})
    found = keyhall.json("audit", "--organization", "Default organization", "--who", "operator")
    assert {each["action"] for each in found} >= {"project.create", "project.rename"}
    assert keyhall.json("audit", "--until", "2020-01-01") == []
    assert "No act is like that" in keyhall("audit", "--until", "2020-01-01")


def test_asks_are_listed_and_unknown_ones_refused(keyhall) -> None:
    assert keyhall.json("asks", "list", "--state", "all") == []
    assert "Nobody waits" in keyhall("asks", "list")
    assert "There is none" in keyhall("asks", "list", "--state", "granted")
    assert "Nobody asked number 7" in keyhall.refused("asks", "decline", "7", "--why", "no")
    assert "Nobody asked number 7" in keyhall.refused("asks", "grant", "7", "--rpm", "9")


def test_an_engine_is_tested_drained_and_resumed(keyhall) -> None:
    assert "Whole answer" in keyhall("engines", "test", "sandbox", "--model", "sandbox/markov")
    found = keyhall.json("engines", "test", "sandbox", "--model", "sandbox/markov")
    assert (found["is_well"], found["connect_us"]) == (True, None)
    assert "No engine none" in keyhall.refused("engines", "test", "none", "--model", "x")
    assert "Whole answer" in keyhall("engines", "test", "sandbox")
    keyhall("engines", "add", "house", "--url", "http://127.0.0.1:9/v1")
    assert "did not answer" in keyhall.refused("engines", "test", "house", "--model", "x")
    assert "name one of its models" in keyhall.refused("engines", "test", "house")
    assert "gets no new requests" in keyhall("engines", "drain", "house")
    assert "drained" in keyhall("engines", "list")
    assert keyhall.json("engines", "drain", "house")["drained_at"] is not None
    assert "gets requests again" in keyhall("engines", "resume", "house")
    assert msgspec.json.encode(keyhall.json("engines", "resume", "house"))
