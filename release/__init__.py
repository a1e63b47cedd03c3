"""The release: one command prepares it, one checks it, one publishes it. It imports the other folders."""
