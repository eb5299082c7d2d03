"""
What ingestion and features must be, written so naively that it can be read as their definition.

Shares no code with Rekindle and, apart from drawing and writing worlds, uses the standard library only.
"""
