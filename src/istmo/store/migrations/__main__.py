"""``python -m istmo.store.migrations new "message"``: for those who change the code, not for operators."""

import subprocess
import sys

from istmo.store.migrations import first_step, new_step

match sys.argv[1:]:
    case ["new", message]:
        path = new_step(message)
    case ["first"]:
        path = first_step()
    case _:
        sys.exit('usage: python -m istmo.store.migrations new "message" | first')
for tidy in (["check", "--select", "I,F401", "--fix", "-q"], ["format", "-q"]):
    subprocess.run([sys.executable, "-m", "ruff", *tidy, str(path)], check=False)
sys.stdout.write(f"{path}\n")
