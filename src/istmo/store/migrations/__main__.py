"""``python -m istmo.store.migrations new "message"``: for those who change the code, not for operators."""

import subprocess
import sys

from istmo.store.migrations import new_step

if len(sys.argv) != 3 or sys.argv[1] != "new":
    sys.exit(f'usage: {sys.executable} -m istmo.store.migrations new "message"')
path = new_step(sys.argv[2])
for tidy in (["check", "--select", "I,F401", "--fix", "-q"], ["format", "-q"]):
    subprocess.run([sys.executable, "-m", "ruff", *tidy, str(path)], check=False)
sys.stdout.write(f"{path}\n")
