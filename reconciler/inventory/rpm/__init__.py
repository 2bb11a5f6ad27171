"""What the facts about dnf and zypper share: sh and awk for the node, readers for its answers. Takes text, gives records; pure."""
