"""Socket activation: who starts a server and has bound its sockets, as systemd does it."""

from __future__ import annotations

import fcntl
import json
import os
import sys

if __name__ == "__main__":
    # The sockets become 3 and so on; the process keeps its number, which is the one that counts.
    filenos, own, command = json.loads(sys.argv[1]), sys.argv[2] == "right", sys.argv[3:]
    kept = [fcntl.fcntl(fileno, fcntl.F_DUPFD, 100) for fileno in filenos]
    for number, fileno in enumerate(kept, 3):
        os.dup2(fileno, number, inheritable=True)
    os.closerange(3 + len(kept), 256)
    os.environ["LISTEN_FDS"] = str(len(kept))
    os.environ["LISTEN_PID"] = str(os.getpid() if own else os.getppid())
    os.environ.pop("GREENSERVE_BIND", None)
    os.execv(command[0], command)
