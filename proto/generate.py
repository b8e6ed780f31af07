"""Generate touchpoint/v1/*_pb2.py, their stubs and the gRPC code from the .proto files: `python proto/generate.py [folder]`."""

import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc  # type: ignore[import-untyped]  # it ships none

SOURCE = Path(__file__).resolve().parent
PLUGINS = Path(sys.executable).parent
"""The stub generators of this environment, whatever the PATH is."""


def generate(target: Path) -> None:
    """Write the generated modules under `target`/touchpoint/v1; raises RuntimeError when protoc refuses a file (it prints why)."""
    messages = sorted(str(path.relative_to(SOURCE)) for path in SOURCE.glob("touchpoint/v1/*.proto"))
    services = [path for path in messages if path.endswith("_service.proto")]
    _run(messages, [f"--python_out={target}", f"--mypy_out=quiet:{target}"])
    _run(services, [f"--grpc_python_out={target}", f"--mypy_grpc_out=quiet:{target}"])


def _run(sources: list[str], outputs: list[str]) -> None:
    status = protoc.main(
        [
            "protoc",
            f"--proto_path={SOURCE}",
            f"--proto_path={files('grpc_tools') / '_proto'}",
            f"--plugin=protoc-gen-mypy={PLUGINS / 'protoc-gen-mypy'}",
            f"--plugin=protoc-gen-mypy_grpc={PLUGINS / 'protoc-gen-mypy_grpc'}",
            *outputs,
            *sources,
        ]
    )
    if status:
        raise RuntimeError(f"protoc ended with status {status}: see its messages above")


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else SOURCE)
