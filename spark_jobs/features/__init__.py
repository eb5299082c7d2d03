"""Features: windows over tiles."""
