"""The commands that sign a person in to a server, and out."""

import asyncio

import click

server_option = click.option(
    "--server", envvar="HEADWATER_SERVER_URL", required=True, help="REST URL, for example http://127.0.0.1:8000."
)


@click.command()
@server_option
def login(server: str) -> None:
    """Sign in to a server with a browser; commands with --server then act as you."""
    from headwater.login import logins_file, sign_in

    file = logins_file()
    asyncio.run(sign_in(server, click.echo, file=file))
    click.echo(f"Signed in to {server}. The tokens are in {file}.")


@click.command()
@server_option
def logout(server: str) -> None:
    """End the sign-in of `headwater login`, there and here."""
    from headwater.login import logins_file, sign_out

    is_out = asyncio.run(sign_out(server, file=logins_file()))
    click.echo(f"Signed out of {server}." if is_out else f"Nobody was signed in to {server}.")
