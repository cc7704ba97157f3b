"""What recording a round costs, and how many a second one attestor and one chain take: `make bench-chain`."""
