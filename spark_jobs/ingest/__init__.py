"""Ingestion: deliveries into raw."""
