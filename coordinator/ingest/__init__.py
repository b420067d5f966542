"""From the broker to the disk: decode, verify, place, commit in groups, receipt. And the beacons that date it all."""
