"""bjoern, with the backlog of the others."""

from __future__ import annotations

import bjoern

from benchmarks.servers import arguments


def main() -> None:
    given = arguments.parse()
    application = arguments.load(given.application)
    bjoern.listen(application, arguments.HOST, given.port, listen_backlog=arguments.BACKLOG)
    bjoern.run()


if __name__ == "__main__":
    main()
