"""A whole network on one machine, with honest devices and six kinds of cheats: what `edgetally demo` runs."""
