"""The log of decentralised runs: follows the contracts' events into a database, and serves it over HTTP."""
