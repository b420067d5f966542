"""The world outside: what leaves the network for other systems. It only reads, and nothing inside waits for it."""
