"""Permission: who may be texted, when, and who is held out. What is unknown about it is a reason not to send."""
