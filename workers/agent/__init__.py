"""The host agent: carries out the control side's orders on one host, with the broker and nothing else."""
