"""What `zuruf up` runs on one machine: the Valkey it ships and the supervisor of all roles."""
