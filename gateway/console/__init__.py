"""The control plane: what servers, marketers and agents do over HTTP."""
