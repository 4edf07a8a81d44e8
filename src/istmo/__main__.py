"""``python -m istmo``: the same as the ``istmo`` command."""

import signal


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
