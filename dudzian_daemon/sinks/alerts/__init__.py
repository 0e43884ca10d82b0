"""From what happened to who is told: alerts are made of durable cycles and messages, routed, kept on disk until a channel took them."""
