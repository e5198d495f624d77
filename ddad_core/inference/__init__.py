"""How trained modules are run: the engines, and the choice between them."""
