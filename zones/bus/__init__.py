"""The zone's message bus over AMQP. It may lose anything: what must not be lost is a database row.

    bus           Bus: publish, fan out, consume, listen, ask; what everybody uses
    names         how queues and exchanges are called
    publisher     the outgoing queue and the one thread that empties it
    subscription  a thread that takes messages in, in batches
    asker         questions under way and their answers
    link          a thread whose connection is made again for ever
    session       one open connection, to a broker or to this process
    rabbit        kombu's AMQP transport with a read buffer
    memory        kombu transport of `memory://`: the broker is this process
"""
