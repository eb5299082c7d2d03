"""A tool that pulls by watermark while publishing goes on; `make quality` does it at full numbers."""

from __future__ import annotations

from quality.consumer import Consumer, publish_beside, published
from quality.figures import lots


def test_the_copy_of_a_tool_that_pulls_beside_publishes_equals_the_published_table(database):
    """Also where a publish is killed after all that it does, and before its commit."""
    with Consumer(database.url) as consumer:
        publish_beside(lots("Rekindle's small publishes"), publishes=4, kills=1, users=900)

    assert consumer.copy == published(database.url)
    assert len(consumer.copy) > 800
    assert consumer.pulls >= 4
