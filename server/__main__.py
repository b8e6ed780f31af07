"""`python -m server` is the command `touchpoint`."""

from server.command import main

main()
