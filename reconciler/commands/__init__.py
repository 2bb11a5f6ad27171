"""send-command: a request -> invocations on nodes, their statuses by SSM's table, and a record for the compliance branch."""
