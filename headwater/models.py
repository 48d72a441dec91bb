"""Language models put together: the file of the installation, and the way to what it names."""

import os
from functools import partial

from core.settings import Settings
from engine.egress.client import EgressClient
from engine.identity.seals import TenantSeals
from engine.models.file import private_hosts, read_models_file
from engine.models.model import ModelsFile
from engine.models.models import Models
from engine.store.db import Store

FILE_NAME = "models.yml"
TRACING = ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING", "LANGCHAIN_TRACING_V2")


def read_models(settings: Settings) -> ModelsFile:
    """What the installation's models.yml says. Raises InvalidArgument."""
    path = settings.models.file or settings.home / FILE_NAME
    return read_models_file(path, os.environ.get, is_wanted=settings.models.file is not None)


def build_models(
    settings: Settings, store: Store, seals: TenantSeals, *, egress: EgressClient, file: ModelsFile
) -> Models:
    """The models that tenants may use."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else litellm fetches it when it is loaded
    os.environ.update(dict.fromkeys(TRACING, "false"))  # else langgraph may send its runs away
    egress_settings = settings.egress
    named = [*egress_settings.allowed_private_hosts, *private_hosts(file)]
    return Models(
        store,
        file,
        egress=egress,
        egress_of_file=EgressClient(egress_settings.model_copy(update={"allowed_private_hosts": named})),
        seal=partial(seals.seal, "models"),
        unseal=partial(seals.open, "models"),
    )
