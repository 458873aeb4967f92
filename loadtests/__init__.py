"""Benchmarks and fleets that hold the latency promises. Shares only the wire contract with the rest."""
