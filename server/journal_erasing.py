"""`python -m server.journal_erasing <folder>`: erasures done on a journal's finished segments, in a process of its own."""

import secrets
import sys
from pathlib import Path
from typing import Final

from engine.base.overlay import OverlayFullError
from engine.journal.disk import FolderDisk
from engine.journal.erasing import erase
from engine.journal.segments import JournalError
from engine.ledger.names import LedgerFullError
from server.journal_snapshots import be_a_chore

COMMAND: Final = (sys.executable, "-m", "server.journal_erasing")


def main() -> None:
    """Erase in the folder that the command line names; print how many subscribers that was."""
    be_a_chore()
    try:
        print(erase(FolderDisk(Path(sys.argv[1])), lambda: secrets.token_bytes(16)))
    except (JournalError, LedgerFullError, OverlayFullError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
