"""The embedded platform of ``polyglot up``: real parts on loopback, all of them children that die with it."""
