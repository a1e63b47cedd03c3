"""The release: one command prepares it, one checks it, one publishes it. It imports all other folders; none imports it."""
