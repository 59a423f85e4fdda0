"""To a neighbour: the client, its calls, and what is sent without waiting."""
