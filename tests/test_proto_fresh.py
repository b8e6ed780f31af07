"""The generated code in proto/touchpoint/v1 is what the .proto files generate, and the reasons are the engine's."""

import subprocess
import sys
from pathlib import Path

from touchpoint.v1 import reason_pb2

from engine.limits import BATCH_ITEMS_MAX, OFFERS_PER_ANSWER_MAX, REQUEST_ID_BYTES_MAX, SUBSCRIBER_KEY_BYTES_MAX
from engine.reasons import Reason, Stage

ROOT = Path(__file__).resolve().parents[1]
CHECKED_IN = ROOT / "proto" / "touchpoint" / "v1"


def test_generated_code_is_fresh(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(ROOT / "proto" / "generate.py"), str(tmp_path)], check=True)
    made = {path.name: path.read_text() for path in (tmp_path / "touchpoint" / "v1").iterdir()}
    found = {path.name: path.read_text() for path in CHECKED_IN.glob("*_pb2*.py*") if path.is_file()}
    assert sorted(made) == sorted(found)
    assert made == found, "run: make proto"


def test_every_field_and_value_has_a_comment() -> None:
    for path in CHECKED_IN.glob("*.proto"):
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines[1:], start=1):
            declares = line.strip().endswith((";", "{")) and not line.strip().startswith(
                ("//", "import", "package", "syntax")
            )
            if declares:
                assert lines[number - 1].strip().startswith("//"), (
                    f"{path.name}:{number + 1}: expected a comment above {line.strip()!r}"
                )


def test_reasons_are_the_engines() -> None:
    for reason in Reason:
        assert int(reason_pb2.Reason.Value(f"REASON_{reason.name}")) == int(reason)
    for stage in Stage:
        assert int(reason_pb2.Stage.Value(f"STAGE_{stage.name}")) == int(stage) + 1


def test_bounds_in_comments_are_the_engines() -> None:
    text = (CHECKED_IN / "decision_service.proto").read_text()
    bytes_max = (REQUEST_ID_BYTES_MAX, SUBSCRIBER_KEY_BYTES_MAX)
    for bound in (
        f"1 to {OFFERS_PER_ANSWER_MAX};",
        f"1 to {BATCH_ITEMS_MAX:,}",
        *(f"1 to {count} bytes" for count in bytes_max),
    ):
        assert bound in text
