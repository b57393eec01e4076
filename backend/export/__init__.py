"""Tracks to files: one module a format."""
