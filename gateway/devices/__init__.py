"""Installations of an app: registration, identity, configuration."""
