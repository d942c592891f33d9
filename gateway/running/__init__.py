"""The supervisor: lock, Valkey, workers, city, ending."""
