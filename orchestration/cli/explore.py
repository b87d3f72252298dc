"""`internvid explore`: the lake in a browser."""

import asyncio
import ipaddress
import logging
import secrets
import socket
import threading
import webbrowser
from typing import Annotated

import typer

from orchestration.cli.options import LakeOption, existing
from orchestration.cli.output import console, notes


def explore(
    lake: LakeOption = None,
    port: Annotated[int, typer.Option(help="Where to listen; 0: any that is free.")] = 3030,
    host: Annotated[str, typer.Option(help="Where to listen. Other machines cannot reach 127.0.0.1.")] = "127.0.0.1",
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open a browser on it.")] = False,
) -> None:
    """Search, watch and judge the clips of this lake in a browser."""
    session = existing(lake)
    with _listening(host, port) as server_socket:
        port = server_socket.getsockname()[1]
        import uvicorn

        from orchestration.explorer.app import explorer_app, warm

        token = None if _is_loopback(host) else session.settings.explorer_token or secrets.token_urlsafe(24)
        app = explorer_app(session.settings, session.resources, host=host, token=token)
        shown_host = f"[{host}]" if ":" in host else host
        address = f"http://{shown_host}:{port}/" + (f"?token={token}" if token else "")
        console.print(f"{session.lake.root} is at {address}", highlight=False, soft_wrap=True, markup=False)
        if token:
            notes.print(
                "Whoever has this address sees the lake. There is no encryption: put a proxy with TLS before it."
            )
        threading.Thread(target=warm, args=(app,), daemon=True, name="warming").start()
        if open_browser:
            webbrowser.open(address)
        logging.getLogger("uvicorn.error").addFilter(says_more_than_that_a_page_was_cut_off)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,  # addresses hold what was searched for, and once a token
            server_header=False,
            limit_concurrency=200,
            timeout_graceful_shutdown=3,
        )
        uvicorn.Server(config).run(sockets=[server_socket])


def says_more_than_that_a_page_was_cut_off(record: logging.LogRecord) -> bool:
    """Of a server that is told to end while a browser reads a video, nobody needs to read where it was cut off."""
    return not (record.exc_info and record.exc_info[0] is asyncio.CancelledError)


def _listening(host: str, port: int) -> socket.socket:
    """Returns a socket that listens there. Raises BadParameter where it cannot."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise typer.BadParameter(
            f"{host}:{port} cannot be listened at ({error.strerror}): end what listens there, or choose another --port"
        ) from error


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return False
