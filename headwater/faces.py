"""The faces of a platform, each imported only when it is opened."""

from typing import TYPE_CHECKING, Any

from headwater import __version__
from headwater.build import Platform

if TYPE_CHECKING:
    from api.grpc import GrpcServer
    from mcp_server.prompts import PeoplePrompt


def rest_face(platform: Platform) -> Any:
    from api.content import content_routes
    from api.iceberg import iceberg_routes
    from api.oauth import oauth_routes
    from api.openai_chat import openai_routes
    from api.rest import rest_app
    from api.scim import scim_routes
    from api.uploads import upload_routes
    from headwater.gateway import agent_addresses
    from headwater.iceberg import iceberg_gate
    from headwater.scim import scim_gate

    return rest_app(
        platform.dispatcher,
        settings=platform.settings.server,
        auth=platform.engine.identity,
        version=__version__,
        extra_routes=[
            *content_routes(platform.dispatcher, platform.engine.query_jobs.contents),
            *upload_routes(platform.dispatcher, platform.engine.imports),
            *iceberg_routes(iceberg_gate(platform), platform.engine.identity),
            *openai_routes(platform.dispatcher),
            *scim_routes(scim_gate(platform), public_url=platform.settings.server.public_url),
            *agent_addresses(platform),
            *oauth_routes(
                platform.engine.identity.oauth,
                platform.engine.identity.jwks,
                platform.engine.audit,
                public_url=platform.settings.server.public_url,
            ),
        ],
    )


def mcp_face(platform: Platform) -> Any:
    from api.oauth import oauth_routes
    from headwater.gateway import beside_mcp
    from mcp_server.server import mcp_app

    identity = platform.engine.identity
    sign_in = oauth_routes(
        identity.oauth, identity.jwks, platform.engine.audit, public_url=platform.settings.server.public_url
    )

    return mcp_app(
        platform.dispatcher,
        settings=platform.settings.server,
        version=__version__,
        results=platform.engine.results,
        state_key=platform.engine.vault.purpose_key("mcp request state"),
        beside=lambda own: [*beside_mcp(platform, own), *sign_in],
        prompts=people_prompts(),
    )


def people_prompts() -> "list[PeoplePrompt]":
    """Prompts for people, as MCP serves them."""
    from mcp_server.prompts import PeoplePrompt
    from prompts.library import for_people

    return [
        PeoplePrompt(
            name=prompt.name,
            description=prompt.description,
            slots=prompt.slots,
            optional=prompt.optional,
            tools=prompt.tools,
            fill=lambda values, prompt=prompt: prompt.fill(**values),  # type: ignore[misc]
        )
        for prompt in for_people()
    ]


def grpc_server(platform: Platform, *, shared: bool) -> "GrpcServer":
    from api import grpc
    from headwater.gateway import a2a_service

    return grpc.grpc_server(
        platform.dispatcher,
        platform.dispatcher.registry,
        settings=platform.settings.server,
        shared=shared,
        uploads=(platform.dispatcher, platform.engine.imports),
        beside=a2a_service(platform),
    )


def grpc_web_face(platform: Platform) -> Any:
    from api.grpc_web import grpc_web_app
    from api.protolock import shipped_lock
    from api.rpc import build_rpcs

    rpcs = build_rpcs(platform.dispatcher.registry, shipped_lock())
    return grpc_web_app(platform.dispatcher, rpcs, settings=platform.settings.server)


def metrics_page(platform: Platform) -> Any:
    """The Prometheus page, for the loopback admin port."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    async def metrics(request: Request) -> Response:
        body, media_type = platform.metrics.render()
        return Response(body, media_type=media_type)

    return Starlette(routes=[Route("/metrics", metrics)])
