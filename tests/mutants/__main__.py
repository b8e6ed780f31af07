"""`python -m tests.mutants`: what `make mutants` calls."""

import sys

from tests.mutants.run import main

sys.exit(main())
