"""Filling a landing zone: histories in one file, and public data sets."""
