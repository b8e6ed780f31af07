"""Commands that check and build what a server loads; each is named in the entry points `touchpoint.commands`."""
