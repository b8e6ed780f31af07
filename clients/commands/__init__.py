"""Commands that call a running server; each is named in the entry points `touchpoint.commands`."""
