"""The records crishim keeps and the state tables that say which moves are legal. Pure values; no I/O."""
