"""Memory larger than the machine: shards, tiers of pages below RAM, and the pager that moves pages between them."""
