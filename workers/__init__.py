"""The ground that everything stands on: host registry, agents, commands, executors and links to other systems."""
