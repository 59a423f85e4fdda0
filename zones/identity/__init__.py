"""Who somebody is: the embedded identity service (Keystone v3), kept in the zone's own database.

What the API needs of any identity is `zones.api.auth.Backend`; a remote Keystone implements the same.
"""
