"""Desired against observed: takes desired state, targets, facts and memory, gives one `Finding` a subject and node; pure."""
