"""Names that one program gives and another one reads: variables of the environment, and objects of a cluster.

The manifests spell them too. Nothing is imported here, because the model server imports it.
"""

SERVING_SETTINGS = "FULLCIRCLE_SERVING"  # the `serving` section as JSON, for the model server
SHADOW_URL = "FULLCIRCLE_SHADOW_URL"  # where the model server sends copies of requests to
SHADOW_MODEL = "FULLCIRCLE_SHADOW"  # the model whose candidate a model server is
MONITORING_SETTINGS = "FULLCIRCLE_MONITORING"  # fields of `monitoring` as JSON, for the scheduled report

SERVING = "fullcircle-serving"  # the model servers' service account
MONITORING = "fullcircle-monitoring"  # the CronJob of the reports, its service account, and the secret with its keys
