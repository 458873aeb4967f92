"""Tenants: apps, their keys, and the tokens of their devices."""
