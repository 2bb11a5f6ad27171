"""Sessions with nodes over SSH and on this machine: takes a Node and a Program, gives an Answer or one NodeError in words.

`pool.ConnectionPool(...).connect` is the `Connect` that every other stage is handed. Only this package knows fabric and
paramiko; every exception of theirs becomes a NodeError here. It never decides what to run, and never trusts an unpinned key.
"""
