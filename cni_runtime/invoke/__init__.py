"""Ways to run a plugin call: fork and exec of an executable, a built-in plugin, and the choice between them."""
