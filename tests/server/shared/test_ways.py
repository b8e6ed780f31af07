"""Other ways to the same ledger: scripts where libraries are not to be had, TLS, another database; and names that others bring."""

import shutil
import time
from pathlib import Path

import pytest
from touchpoint.v1 import admin_service_pb2 as admin
from touchpoint.v1 import reason_pb2
from touchpoint.v1 import subscriber_service_pb2 as subscribers

from engine.rulebook import compile_rulebook, save_rulebook
from loaders.catalogue.load import load_catalogue
from server.settings import Settings, SettingsError
from server.shared.address import place_of
from tests.server.operator_fixture import NOW, Operator, msisdn, write_operator
from tests.server.running import asking, running, settings_for, timeless
from tests.server.shared.conftest import CAP, CAPPED
from tests.server.shared.redis_servers import REDIS, free_port, keys_of, redis_server
from tests.server.shared.test_faults import heals
from tests.server.shared.test_replicas import STATUS, say
from tests.server.test_decisions import usage
from tests.server.test_rpcs import outcome, record

CERTIFICATES = Path(__file__).parent.parent / "certificates"


def test_scripts_where_there_are_no_function_libraries(capped: Operator, binary: str, tmp_path: Path) -> None:
    with (
        redis_server(tmp_path / "redis", binary, rename_command="FUNCTION NONE") as redis,
        running(settings_for(capped, ledger_redis=redis.url, replica=1)) as one,
        running(settings_for(capped, ledger_redis=redis.url, replica=2)) as other,
    ):
        request = asking(1)
        first = one.decisions.Decide(request)
        assert timeless(other.decisions.Decide(request)) == timeless(first)
        assert [bool(other.decisions.Decide(asking(1)).offers) for _ in range(CAP)] == [True] * (CAP - 1) + [False]
        redis.command("SCRIPT", "FLUSH")
        assert heals(lambda: one.decisions.Decide(asking(2))).offers
        assert b"evalsha" in redis.command("INFO", "commandstats")


def test_tls_and_a_database_of_its_own(capped: Operator, tmp_path: Path) -> None:
    if not REDIS:
        pytest.skip(
            "redis-server is not installed here, and the wheel's Valkey speaks no TLS; apt-get install redis-server"
        )
    port = str(free_port())
    files = {"tls_cert_file": "server.pem", "tls_key_file": "server.key", "tls_ca_cert_file": "ca.pem"}
    options = {name: str(CERTIFICATES / file) for name, file in files.items()}
    with redis_server(tmp_path / "redis", REDIS, tls_port=port, tls_auth_clients="no", **options) as redis:
        url = f"rediss://localhost:{port}/3"
        with running(
            settings_for(capped, ledger_redis=url, ledger_redis_ca_file=str(CERTIFICATES / "ca.pem"))
        ) as replica:
            assert replica.decisions.Decide(asking(1)).offers
            assert b"db3:keys" in redis.command("INFO", "keyspace")
            assert keys_of(redis) == []
        with pytest.raises(SettingsError, match="cannot be reached"), running(settings_for(capped, ledger_redis=url)):
            pass


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:6379",
        "redis://",
        "redis://127.0.0.1:0x1",
        "redis://127.0.0.1:70000",
        "redis://127.0.0.1/one",
        "redis://127.0.0.1/1/2",
        "redis://one,other",
        "redis-sentinel://127.0.0.1",
        "redis-ring://127.0.0.1",
        "redis-cluster://127.0.0.1:7000/3",
        "redis://127.0.0.1?db=3",
        "redis://[::1",
    ],
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(SettingsError, match="expected such as redis://"):
        place_of(Settings(ledger_redis=url))


def test_addresses() -> None:
    one = place_of(Settings(ledger_redis="redis://ann@[::1]:7000/4")).seeds[0]
    assert (one.host, one.port, one.user, one.database, one.tls) == ("::1", 7000, "ann", 4, None)
    sentinels = place_of(Settings(ledger_redis="redis-sentinel://a,b:9/main/2"))
    assert [(seed.host, seed.port, seed.database) for seed in sentinels.seeds] == [("a", 26379, 2), ("b", 9, 2)]
    assert sentinels.service == "main"
    cluster = place_of(Settings(ledger_redis="rediss-cluster://a:1,b:2"))
    assert (cluster.mode, len(cluster.seeds), cluster.seeds[1].tls is not None) == ("cluster", 2, True)


def test_names_that_another_replica_brings_count_here_too(binary: str, tmp_path: Path) -> None:
    made = write_operator(_folder(tmp_path / "operator"), CAPPED)
    shutil.copy(made.rulebook, tmp_path / "newer")
    newer = made._replace(rulebook=tmp_path / "newer")
    with (
        redis_server(tmp_path / "redis", binary) as redis,
        running(settings_for(made, ledger_redis=redis.url, replica=1)) as one,
        running(settings_for(newer, ledger_redis=redis.url, replica=2)) as other,
    ):
        rewrite(
            newer,
            CAPPED.replace("film_month", "series_month").replace("id: measured", "id: weighed"),
            tmp_path / "source",
        )
        assert other.admin.Reload(admin.ReloadRequest()).changed
        given = [offer.offer for _ in range(CAP) for offer in other.decisions.Decide(asking(13, max_offers=6)).offers]
        assert "series_month" in given
        answer = one.decisions.Decide(asking(13))
        assert answer.reason == reason_pb2.REASON_CAP_REACHED, "the contacts of offers that are not known here count"
        assert one.decisions.Decide(asking(14, max_offers=6)).offers


def test_what_is_kept_lives_as_long_as_it_matters(capped: Operator, binary: str, tmp_path: Path) -> None:
    with (
        redis_server(tmp_path / "redis", binary) as redis,
        running(settings_for(capped, ledger_redis=redis.url)) as replica,
    ):
        assert replica.decisions.Decide(asking(1)).offers
        (key,) = [key for key in keys_of(redis) if key.endswith(b"}")]
        assert sorted(name[:1] for name in redis.command("HKEYS", key)) == [b"c", b"r", b"v", b"x"]
        week_ms = 31 * 86_400_000  # a cap on acceptances keeps what it may count
        assert week_ms - 60_000 < redis.command("PTTL", key) < week_ms + 86_400_000
        over = (int(time.time() * 1e6) - 1).to_bytes(8, "big")
        index = redis.command("HGET", key, "x")
        redis.command("HSET", key, "x", over + index[8:])
        assert replica.decisions.Decide(asking(1)).offers
        assert len([name for name in redis.command("HKEYS", key) if name.startswith(b"r")]) == 1, (
            "what is over is dropped"
        )


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def rewrite(made: Operator, catalogue: str, source: Path) -> None:
    """Put another catalogue in the place of the operator's rulebook."""
    source.mkdir()
    (source / "all.yaml").write_text(catalogue)
    save_rulebook(compile_rulebook(load_catalogue(source, now_us=int(NOW.timestamp()) * 1_000_000)), made.rulebook)


def test_push_waits_while_the_ledgers_clock_and_this_hosts_are_apart(capped: Operator, tmp_path: Path) -> None:
    with redis_server(tmp_path / "redis") as redis, running(settings_for(capped, ledger_redis=redis.url)) as replica:
        clock = replica.server.decisions.clock
        assert abs(clock.now_us() - time.time_ns() // 1_000) < 1_000_000
        assert clock.trusted
        shared = replica.server._shared
        assert shared is not None
        with replica.busy():
            shared.sharing._fetching.offset_us += 3_000_000
            clock.now_us()
            assert not clock.trusted
            assert clock.jump_us > 2_000_000
        assert replica.decisions.Decide(asking(1, channel="desk")).offers
        used = usage()
        assert (
            replica.decisions.Decide(asking(1, channel="sms", trigger=used)).reason
            == reason_pb2.REASON_CLOCK_UNCONFIRMED
        )
        replica.admin.ConfirmClock(admin.ConfirmClockRequest())
        assert (
            replica.decisions.Decide(asking(1, channel="sms", trigger=used)).reason
            != reason_pb2.REASON_CLOCK_UNCONFIRMED
        )


RIGHTS = "on >secret ~tp:* +@read +@write +@scripting +@connection +info +time"


def test_a_user_with_no_more_rights_than_needed(capped: Operator, binary: str, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("secret")
    with redis_server(tmp_path / "redis", binary) as redis:
        redis.command("ACL", "SETUSER", "touchpoint", *RIGHTS.split(" "))
        url = redis.url.replace("//", "//touchpoint@")
        with running(settings_for(capped, ledger_redis=url, ledger_redis_password_file=str(file))) as replica:
            first = replica.decisions.Decide(asking(1))
            assert first.offers
            assert record(replica, outcome(first.decision_id, "seen-1"))[0].status == STATUS.OUTCOME_STATUS_RECORDED
            say(replica, 2, subscribers.CONSENT_STATE_REFUSED)
            replica.subscribers.ForgetSubscriber(subscribers.ForgetSubscriberRequest(subscriber=msisdn(3)))
