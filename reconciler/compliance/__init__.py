"""Findings and history -> the files of the compliance branch, and back: same facts, same bytes; reads and writes no git."""
