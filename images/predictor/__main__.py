"""The model server: `python -m images.predictor --model_name NAME --model_dir FOLDER --http_port PORT`."""

import sys

from images.predictor.program import main

if __name__ == "__main__":
    sys.exit(main())
