"""Takes what others keep about existing servers (ssh_config, Ansible inventories, AWS exports); gives files for review.

Readers give a `Harvest` of records; `files` writes them as a state repository's YAML. Pure: whoever calls reads and writes.
"""
