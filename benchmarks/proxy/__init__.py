"""Our proxies beside others, on this machine: each on one core, load and upstream on the other."""
