"""Takes what a node, its server and the network said to a few questions; gives checks in words, each with its remedy. Pure."""
