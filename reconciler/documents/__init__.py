"""How a document becomes commands: takes a Document and given parameters, gives rendered steps with a digest; pure."""
