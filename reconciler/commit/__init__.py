"""Report -> a pushed commit, or none; the lease that says who may, and the heartbeat that says when.

Takes files as bytes and never looks into them. It decides nothing about nodes, and never forces a branch.
"""
