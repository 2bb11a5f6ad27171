"""Git, both branches: takes an address and commits, gives the files in them as bytes, and writes what it is handed.

It knows nothing of what the files mean. Git is started in `git_process.py` only.
"""
