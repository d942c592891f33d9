"""What the gateway costs, as ratios against peers in one interleaved run: `make bench`."""
