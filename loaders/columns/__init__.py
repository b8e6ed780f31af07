"""Arrow IPC streams as plain arrays and back, checked and bounded: what peers send is never trusted, and nothing here knows what it means."""
