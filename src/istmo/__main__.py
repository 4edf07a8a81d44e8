"""``python -m istmo``: the same as the ``istmo`` command."""

from istmo.cli.main import main

main()
