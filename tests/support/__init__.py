"""What tests share: real nodes, a light sshd, an apt repository.."""
