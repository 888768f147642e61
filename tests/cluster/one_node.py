"""What is known of the overlay one-node."""

NAMESPACE = "fullcircle"
# Public: the overlay's own development keys, by purpose.
KEYS = {
    purpose: (f"development-{purpose}", f"development-{purpose}-secret")
    for purpose in ("root", "stages", "serving", "monitoring", "artifacts")
}
