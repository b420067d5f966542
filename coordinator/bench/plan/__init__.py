"""How large a machine a network needs: a small real one is run here, and what it took is carried over."""
