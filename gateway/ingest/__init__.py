"""Events come in: batches from devices and servers, checked event by event, into the log."""
