"""A real server that is killed at random moments under load, again and again, and receivers who count what they got."""
