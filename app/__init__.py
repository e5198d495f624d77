"""The DDAD Review web app: services, store, screens."""
