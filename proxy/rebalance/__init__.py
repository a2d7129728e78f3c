"""Taking a running cluster from one ring to the next: joiners catch up, then the new replica sets stand alone."""
