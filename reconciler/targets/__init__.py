"""Which nodes an association means, and why each one: takes the desired state, gives `Targets`; pure."""
