"""Networks: the Networking API and the agent that makes them on a host."""
