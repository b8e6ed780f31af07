"""What is measured beside us, each in its best configuration."""
