"""The units and drop-ins of the service, as data: `aurora-gateway install` puts them in place."""
