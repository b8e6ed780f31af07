"""A journal's decisions come out the same when they are made again in another process, and the first that does not is shown."""

import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from touchpoint.v1 import admin_service_pb2 as admin
from touchpoint.v1 import decision_pb2, value_pb2
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1 import outcome_service_pb2 as outcome
from touchpoint.v1 import subscriber_service_pb2 as subscribers

from clients.columns import decide_columns
from clients.decisions import DecisionClient
from clients.target import Target
from engine.journal.disk import FolderDisk
from engine.journal.erasing import erase
from engine.journal.journal import Journal, Writer
from engine.journal.records import DECIDED, Decided, decode, decode_decided, encode_decided
from engine.journal.segments import Log, Owner
from engine.journal.snapshot import next_of, snapshot_names
from engine.journal.starting import shard_in, snapshot_of_segments
from engine.rulebook import save_rulebook
from loaders.catalogue.load import compile_catalogue
from server.replay.comparing import compare
from server.replay.proving import prove
from server.replay.world import known_of
from tests.server.operator_fixture import CATALOGUE, Operator, msisdn, write_operator
from tests.server.process import ROOT
from tests.server.running import Running, asking, running, settings_for

EDITED = (
    CATALOGUE.replace("value: 12", "value: 3")
    if "value: 12" in CATALOGUE
    else CATALOGUE.replace("value: ", "value: 1", 1)
)


KINDS = [
    outcome.OUTCOME_KIND_HANDED_OFF,
    outcome.OUTCOME_KIND_SEEN,
    outcome.OUTCOME_KIND_ACCEPTED,
    outcome.OUTCOME_KIND_REFUSED,
    outcome.OUTCOME_KIND_NOT_NOW,
    outcome.OUTCOME_KIND_FAILED,
]


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    return write_operator(tmp_path_factory.mktemp("operator"))


def usage(number: int, rng: random.Random) -> pb.DecideRequest:
    event = decision_pb2.TriggerEvent(type="usage")
    event.fields["used_mb"].CopyFrom(value_pb2.Value(double_value=rng.uniform(0, 20_000)))
    return asking(number, channel="sms", trigger=event)


def work(server: Running, rng: random.Random, rounds: int) -> None:
    """All that changes state, by every door."""
    decided: list[pb.DecideResponse] = []
    for round_number in range(rounds):
        number = rng.randrange(60)
        kind = rng.randrange(8)
        if kind < 3:
            decided.append(server.decisions.Decide(asking(number, explain=kind == 2)))
        elif kind == 3:
            decided.append(server.decisions.Decide(usage(number, rng)))
        elif kind == 4:
            items = [
                asking(rng.randrange(60)) if rng.random() < 0.7 else usage(rng.randrange(60), rng) for _ in range(20)
            ]
            items.append(items[0])
            items.append(asking(3, dry_run=True))
            results = server.decisions.DecideBatch(pb.DecideBatchRequest(items=items)).results
            decided += [result.answer for result in results]
        elif kind == 5 and decided:
            said = rng.choice(decided)
            if said.decision_id:
                sent = outcome.Outcome(
                    outcome_id=f"o{round_number}",
                    decision_id=said.decision_id,
                    rank=1,
                    kind=rng.choice(KINDS),
                )
                server.outcomes.RecordOutcomes(outcome.RecordOutcomesRequest(outcomes=[sent]))
        elif kind == 6:
            change = subscribers.UpdateSubscriberRequest(
                subscriber=msisdn(rng.randrange(14, 40)), language=rng.choice(["en", "es"])
            )
            server.subscribers.UpdateSubscriber(change)
        else:
            with DecisionClient(Target(server.address)) as client:
                rows = [rng.randrange(60) for _ in range(5)]
                table = {
                    "request_id": [f"t{round_number}-{k}-{rng.random()}" for k in range(5)],
                    "subscriber": [msisdn(row) for row in rows],
                    "placement": ["desk_open"] * 5,
                    "channel": ["desk"] * 5,
                }
                decide_columns(client, table)
    odd = asking(20)
    odd.subscriber = "(412) 555-" + odd.subscriber[-4:] if odd.subscriber.startswith("+1412555") else odd.subscriber
    server.decisions.Decide(odd)


def replayed(operator: Operator, journal: Path, rulebooks: list[Path], *words: str) -> tuple[int, Any, str]:
    """Run the command in another process; return exit code, JSON, what it said otherwise."""
    books = [word for path in rulebooks for word in ("--rulebook", str(path))]
    command = [sys.executable, "-m", "server", "replay", str(journal), *books, "--base", str(operator.base)]
    command += ["--key-secret-file", str(operator.key_secret_file), "--json", *words]
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}", "PATH": "/usr/bin:/bin", "HOME": str(Path.home())}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)
    return done.returncode, json.loads(done.stdout) if done.stdout.strip() else None, done.stderr


@pytest.fixture(scope="module")
def journal(operator: Operator, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A journal of two lives and a reload, and the two rulebooks that decided."""
    folder, rng = tmp_path_factory.mktemp("replayed"), random.Random(7)
    first, second, current = folder / "first", folder / "second", folder / "rulebook"
    shutil.copy(operator.rulebook, first)
    source = folder / "catalogue"
    source.mkdir()
    (source / "all.yaml").write_text(EDITED, encoding="utf-8")
    save_rulebook(compile_catalogue(source, now_us=1_780_000_000_000_000), second)
    shutil.copy(first, current)
    settings = settings_for(operator, journal=str(folder / "journal"), rulebook=str(current))
    with running(settings) as server:
        work(server, rng, 60)
        shutil.copy(second, current)
        assert server.admin.Reload(admin.ReloadRequest()).changed
        work(server, rng, 40)
    with running(settings) as server:
        work(server, rng, 40)
        server.subscribers.ForgetSubscriber(subscribers.ForgetSubscriberRequest(subscriber=msisdn(15)))
        work(server, rng, 40)
    return folder / "journal", first, second


def test_every_decision_comes_out_the_same(operator: Operator, journal: tuple[Path, Path, Path]) -> None:
    folder, first, second = journal
    code, told, said = replayed(operator, folder, [first, second])
    assert code == 0, (told, said)
    assert told["identical"]
    assert told["decisions"] > 400
    assert told["held"] > 100
    assert len(told["by_rulebook"]) == 2
    assert min(told["by_rulebook"].values()) > 50


def test_a_shards_decisions_come_out_the_same(tmp_path: Path) -> None:
    total = (
        "- {id: film_all, scope: offer, target: film_month, per: total, counts: decided, window: lifetime, limit: 7}"
    )
    folder = tmp_path / "operator"
    folder.mkdir()
    capped = write_operator(folder, CATALOGUE.replace("  caps:\n", f"  caps:\n    {total}\n"))
    with running(settings_for(capped, journal=str(tmp_path / "journal"), shard="1/2")) as server:
        items = [asking(number) for number in range(60)]
        results = server.decisions.DecideBatch(pb.DecideBatchRequest(items=items)).results
        answers = [result.answer for result in results if result.HasField("answer")]
    made = sum(offer.offer == "film_month" for answer in answers for offer in answer.offers)
    assert (made, len(answers) < 60) == (4, True), "the shard's share of 7 was reached"
    code, told, said = replayed(capped, tmp_path / "journal", [capped.rulebook])
    assert code == 0, (told, said)
    assert told["decisions"] == len(answers)


def test_records_of_decisions_are_what_plain_messagepack_writes(journal: tuple[Path, Path, Path]) -> None:
    decided = [record for record in Log(FolderDisk(journal[0]), None) if record.kind == DECIDED]
    assert len(decided) > 100
    for record in decided:
        assert encode_decided(decode_decided(record.body())) == bytes(record.body())


def test_a_rulebook_that_is_not_given_is_named(operator: Operator, journal: tuple[Path, Path, Path]) -> None:
    folder, first, _ = journal
    code, told, said = replayed(operator, folder, [first])
    assert (code, told) == (1, None)
    assert "it was decided by the rulebook with digest" in said
    assert "add it with --rulebook" in said


def forge(folder: Path, forged: Path) -> None:
    """Copy a journal with one word of one answer changed."""
    log, copy, held = Log(FolderDisk(folder), None), None, 0
    for record in log:
        if copy is None:
            header = log.segments[0]
            owner = Owner(header.shard, header.check)
            copy = Journal(FolderDisk(forged), owner, "none", writer=Writer("", "", header.sizes))
        if record.kind != DECIDED:
            copy.add(decode(record.body()))
            continue
        decided = decode_decided(record.body())
        held += any(row.hold for row in decided.rows)
        if held == 30:
            decided, held = with_other_words(decided), held + 1
        copy.add(decided)
    assert copy is not None
    assert held > 30
    assert copy.close()


def with_other_words(decided: Decided) -> Decided:
    rows = list(decided.rows)
    place = next(place for place, row in enumerate(rows) if row.hold)
    assert isinstance(rows[place].answer, bytes)
    answer = pb.DecideResponse.FromString(rows[place].answer)  # type: ignore[arg-type]  # as just asserted
    answer.offers[0].content += "!"
    rows[place] = msgspec.structs.replace(rows[place], answer=answer.SerializeToString())
    return msgspec.structs.replace(decided, rows=rows)


def test_a_changed_decision_is_shown(operator: Operator, journal: tuple[Path, Path, Path], tmp_path: Path) -> None:
    folder, first, second = journal
    forge(folder, tmp_path / "forged")
    code, told, said = replayed(operator, tmp_path / "forged", [first, second])
    assert code == 1, said
    assert not told["identical"]
    found = told["difference"]
    assert found["was"]["decision"] == found["became"]["decision"]
    assert found["was"]["answer"]["offers"][0]["content"] == found["became"]["answer"]["offers"][0]["content"] + "!"
    assert found["asked"]["channel"]


def test_what_another_rulebook_would_have_done(
    operator: Operator, journal: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    folder, first, second = journal
    code, same, said = replayed(operator, folder, [first, second], "--against", str(second))
    assert code == 0, said
    assert same["becomes"]["offers"] > 0
    source = tmp_path / "catalogue"
    source.mkdir()
    lower = CATALOGUE.replace("max_offers: 6", "max_offers: 1").replace(
        "id: data, state: live", "id: data, state: paused"
    )
    assert lower != CATALOGUE
    (source / "all.yaml").write_text(lower, encoding="utf-8")
    save_rulebook(compile_catalogue(source, now_us=1_780_000_000_000_000), tmp_path / "less")
    code, told, said = replayed(operator, folder, [first, second], "--against", str(tmp_path / "less"))
    assert code == 0, said
    assert told["campaigns"]["data"]["offers"][0] > 0
    assert told["campaigns"]["data"]["offers"][1] == 0
    assert told["campaigns"]["data"]["subscribers"][1] == 0
    assert told["becomes"]["offers"] < told["was"]["offers"]
    assert told["lost"] > 0
    assert told["same"] + told["gained"] + told["lost"] + told["other_first"] <= told["decisions"]


def test_the_rulebook_that_decided_would_have_done_the_same(operator: Operator, tmp_path: Path) -> None:
    rng = random.Random(3)
    with running(settings_for(operator, journal=str(tmp_path / "journal"))) as server:
        work(server, rng, 80)
    code, told, said = replayed(
        operator, tmp_path / "journal", [operator.rulebook], "--against", str(operator.rulebook)
    )
    assert code == 0, said
    assert told["decisions"] == told["same"] > 100
    assert told["was"] == told["becomes"]
    assert all(each["offers"][0] == each["offers"][1] for each in told["campaigns"].values())


def test_a_clock_that_was_set_back_after_what_leaves_no_record(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, now_ns, offset_ns = tmp_path / "journal", time.time_ns, [0]
    monkeypatch.setattr("server.clock.time.time_ns", lambda: now_ns() + offset_ns[0])
    with running(settings_for(operator, journal=str(folder))) as server:
        first = asking(14)
        server.decisions.Decide(first)
        offset_ns[0] = 1_000_000_000
        server.decisions.Decide(first)
        offset_ns[0] = 0
        server.decisions.Decide(asking(15))
    known = known_of([operator.rulebook], [operator.base], operator.key_secret_file)
    disk = FolderDisk(folder)
    decided = [decode_decided(record.body()) for record in Log(disk, None) if record.kind == DECIDED]
    assert decided[-1].raw_us < decided[-1].now_us - 500_000
    assert prove(disk, known, shard_in(disk)).difference is None


def test_another_rulebook_is_asked_though_some_of_a_batch_were_erased(operator: Operator, tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    with running(settings_for(operator, journal=str(folder))) as server:
        items = [asking(number) for number in (14, 20, 15)]
        answers = [each.answer for each in server.decisions.DecideBatch(pb.DecideBatchRequest(items=items)).results]
        for answer in answers:
            sent = outcome.Outcome(outcome_id="o", decision_id=answer.decision_id, rank=1, kind=KINDS[2])
            server.outcomes.RecordOutcomes(outcome.RecordOutcomesRequest(outcomes=[sent]))
        server.subscribers.ForgetSubscriber(subscribers.ForgetSubscriberRequest(subscriber=msisdn(20)))
    with running(settings_for(operator, journal=str(folder))):
        pass
    disk = FolderDisk(folder)
    assert erase(disk, lambda: bytes(range(16))) == 1
    known = known_of([operator.rulebook], [operator.base], operator.key_secret_file)
    (rulebook,) = known.rulebooks.values()
    found = compare(disk, known, shard_in(disk), rulebook)
    assert (found.decisions, found.same, found.erased) == (2, 2, 1)


def test_a_change_that_the_base_is_younger_than_outlives_a_reload_of_the_rulebook_and_a_restart(
    operator: Operator, tmp_path: Path
) -> None:
    folder, rulebook = tmp_path / "journal", tmp_path / "rulebook"
    shutil.copy(operator.rulebook, rulebook)
    with running(settings_for(operator, journal=str(folder), rulebook=str(rulebook))) as server:
        change = subscribers.UpdateSubscriberRequest(subscriber=msisdn(3))
        change.attributes.append(subscribers.AttributeChange(id="tenure_months", value=value_pb2.Value(int_value=40)))
        change.at.FromMicroseconds(time.time_ns() // 1_000 - 10 * 86_400_000_000)
        server.subscribers.UpdateSubscriber(change)
        before = server.decisions.Decide(asking(3))
        source = tmp_path / "catalogue"
        source.mkdir()
        (source / "all.yaml").write_text(EDITED, encoding="utf-8")
        edited = tmp_path / "edited"
        save_rulebook(compile_catalogue(source, now_us=time.time_ns() // 1_000), edited)
        shutil.copy(edited, rulebook)
        assert server.admin.Reload(admin.ReloadRequest()).changed
        after = server.decisions.Decide(asking(3))
        assert "music_month" in {offer.offer for offer in before.offers} & {offer.offer for offer in after.offers}
    disk = FolderDisk(folder)
    for _ in range(2):  # after its records, and after a snapshot of them
        with running(settings_for(operator, journal=str(folder), rulebook=str(rulebook))) as server:
            again = server.decisions.Decide(asking(3))
            assert "music_month" in {offer.offer for offer in again.offers}
        assert snapshot_of_segments(disk)
    books = [operator.rulebook, edited]
    known = known_of(books, [operator.base], operator.key_secret_file)
    for first in (1, next_of(snapshot_names(disk)[-1])):
        proof = prove(disk, known, shard_in(disk), first=first)
        assert proof.difference is None
        assert proof.decisions > 0
    found = compare(disk, known, shard_in(disk), known.rulebooks[next(iter(known.rulebooks))])
    assert found.was.by_campaign["extras"] == found.becomes.by_campaign["extras"] > 0


def test_what_found_no_room_for_its_answer_changes_nothing_of_what_did(operator: Operator, tmp_path: Path) -> None:
    """Each run of a batch finds room for some of its items; the others are in no record, so what is asked again is one run."""
    folder = tmp_path / "journal"
    with running(settings_for(operator, journal=str(folder), answers_bytes_max=200_000)) as server:
        items = [asking(number) for number in range(14, 26)]
        sent = [*items[:6], items[0], *items[6:]]
        results = server.decisions.DecideBatch(pb.DecideBatchRequest(items=sent)).results
    held = [bool(result.answer.decision_id) for result in results]
    assert (any(held[:6]), all(held[:6]), any(held[7:]), all(held[7:])) == (True, False, True, False)
    code, told, said = replayed(operator, folder, [operator.rulebook])
    assert (code, said) == (0, ""), told
    assert told["identical"]
    assert told["held"] == len({result.answer.decision_id for result in results} - {""})
