"""Several real nodes: processes, ports, keys and data of their own, spoken to over HTTP alone."""
