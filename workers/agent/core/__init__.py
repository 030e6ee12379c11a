"""The agent's decisions, pure: no I/O, no clock, no randomness."""
