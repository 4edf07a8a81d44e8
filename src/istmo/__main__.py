"""``python -m istmo``: the same as the ``istmo`` command."""

import sys

ENDED_BY_CTRL_C = 130
"""The status of whoever was ended by Ctrl-C, as shells count it."""

try:
    import signal
except KeyboardInterrupt:  # pressed within the first milliseconds
    sys.exit(ENDED_BY_CTRL_C)


def main() -> None:
    """Entry point: the modules are read here, and Ctrl-C meanwhile ends us at once and without a word.

    ``kit.cli`` gives it back its meaning where a command begins.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from istmo.cli.main import main as run  # noqa: PLC0415 - said above

    run()


if __name__ == "__main__":
    main()
