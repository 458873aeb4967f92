"""Moorlind, a small shop for the home: what an app with the SDK inside looks like."""
