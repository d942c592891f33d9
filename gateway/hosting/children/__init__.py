"""Code plugins in caged child processes: values in, values out, nothing else."""
