"""How many replicas a traffic needs: a simulation of the fleet by events, fed with measured times of one replica."""
