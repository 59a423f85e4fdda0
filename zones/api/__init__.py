"""The zone's HTTP endpoints: WSGI on WebOb, one literal route table a service. WebOb lives here."""
