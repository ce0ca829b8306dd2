"""The main job: `python run.py model=nested init=xavier` turns a config into a model and runs it."""

import sys

from modelzoo.cli import main

if __name__ == "__main__":
    sys.exit(main())  # the shell completes what follows a file that names @hydra.main
