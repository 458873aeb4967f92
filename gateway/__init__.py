"""Zuruf's server: devices in, messages out."""

__version__ = "0.1.0"
