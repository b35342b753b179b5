"""Who may speak for which gateway: requests, certificates, revocation, and keys that are cut off or replaced."""
