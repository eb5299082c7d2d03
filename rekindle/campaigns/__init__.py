"""
Campaigns: whom to text, with what, and who is left untexted so that the effect can be measured.

What is decided stands in pure modules (offers, messages, gain, choosing, power, strategies); `plan` reads the audience,
decides by them, and writes the assignment before anything is sent. Rekindle sends nothing.
"""
