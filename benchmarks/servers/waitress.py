"""waitress, its limit on connections raised, and with poll: select knows no descriptor above 1 023."""

from __future__ import annotations

from waitress import serve

from benchmarks.servers import arguments


def main() -> None:
    given = arguments.parse()
    serve(
        arguments.load(given.application),
        host=arguments.HOST,
        port=given.port,
        backlog=arguments.BACKLOG,
        connection_limit=arguments.MOST_CONNECTIONS,
        asyncore_use_poll=True,
    )


if __name__ == "__main__":
    main()
