"""Formats of disk images: what a file says it is, and what it must not say.

Parsers are pure generators: they yield which bytes they need and are sent them, so the same parser reads a volume, a
file or a fuzzer's bytes. None of them trusts a number from the file before it has a bound.
"""
