"""The paper's Tables III and V to IX on a configuration of one's own: every row, over seeds."""
