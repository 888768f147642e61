"""The stages, a folder each, and in `shared` what they have in common.

Importing a stage's libraries makes hundreds of thousands of objects that all stay. Python would look for garbage after
every 700 of them, which takes a sixth of the time until a task's first line of work. Every 50,000 is often enough, for
the model server too: its requests leave no cycles behind.
"""

import gc

gc.set_threshold(50_000, 20, 100)
