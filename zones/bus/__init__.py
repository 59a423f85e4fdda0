"""The zone's message bus over AMQP. It may lose anything: what must not be lost is a database row."""
