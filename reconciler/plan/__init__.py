"""Findings -> an ordered plan with a digest: what will run, where and why, and what is left out and why; pure."""
