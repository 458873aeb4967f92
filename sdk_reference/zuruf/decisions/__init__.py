"""What the SDK decides, as pure functions of values: no I/O, no threads, no clock, no randomness.

A port to another language is written against this folder; `conformance/vectors/` holds the same
decisions as data.
"""
