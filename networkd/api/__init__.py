"""Operations of the Networking API, one module for each kind of thing."""
