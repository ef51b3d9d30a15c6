"""Load reports: how whoever holds requests tells those who must know.

A *reporter* (queue-proxy, activator) keeps one TCP connection to each *collector* (every
autoscaler; for queue-proxies, every activator too), proves who it is, and then sends small records.
"""
