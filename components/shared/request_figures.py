"""What the model server counts of requests, by name: it counts, and a canary is judged by the counts.

Nothing is imported here, because the model server imports it.
"""

PREDICTION_PROTOCOLS = ("v1", "v2", "grpc")
OTHER = "other"  # value of the label `protocol` of what asks for no predictions: probes, scrapes, pages
REQUESTS = "fullcircle_requests"
REQUEST_SECONDS = "fullcircle_request_seconds"
