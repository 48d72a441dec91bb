"""Every error of the tree is mapped by every face."""

from api.cli import EXIT_CODES
from api.errors import STATUS
from api.grpc_errors import GRPC_STATUS
from core.errors import PlatformError, error_classes, error_from

CODES = {kind.code for kind in error_classes()}


def test_every_code_has_one_class() -> None:
    assert len(CODES) == len(list(error_classes()))


def test_every_face_maps_every_code() -> None:
    http = {kind.code for kind in STATUS}
    for table in (http, set(GRPC_STATUS), set(EXIT_CODES)):
        assert table == CODES


def test_a_class_without_a_message_says_its_docstring() -> None:
    for kind in error_classes():
        assert kind().message == (kind.__doc__ or "").strip()


def test_an_error_survives_storage() -> None:
    for code in CODES:
        assert error_from(code, "m", hint="h").body("r") == {
            "code": code,
            "message": "m",
            "hint": "h",
            "request_id": "r",
        }


def test_an_unknown_stored_code_is_internal() -> None:
    assert isinstance(error_from("NEW_CODE", "m"), PlatformError)
    assert error_from("NEW_CODE", "m").code == "INTERNAL"
