"""The whole loop on a simulated business: score, plan, send, reply, measure. `make loop`; nothing leaves the machine."""
