"""What can be proved wrong with a rulebook before it serves: dead conditions, offers that never win, caps that never decide, gaps in quiet hours."""
