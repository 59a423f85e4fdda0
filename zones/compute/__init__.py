"""The compute service: it owns hosts, keeps a ledger, and drives what runs servers."""
