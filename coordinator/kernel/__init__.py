"""Pure words that every module shares: amounts, time in beacons, chains of statements, tables, the module interface."""
