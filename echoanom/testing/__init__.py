"""The other side of contracts, for tests and for trying things out on one machine."""
