"""Page tokens hold for one caller, one tool and one set of arguments."""

import pytest
from pydantic import Field, ValidationError

from core.context import Principal
from core.errors import InvalidArgument, NotFound
from core.pages import TOKEN_LIFETIME_S, Paged, PageSigner, Window

ADA, BOB, ADA_ELSEWHERE = Principal("ada", "acme"), Principal("bob", "acme"), Principal("ada", "other")


class ListThings(Paged):
    q: str = Field("", description="A filter.")


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def signer(clock: Clock) -> PageSigner:
    return PageSigner(b"k" * 32, clock)


def _token(signer: PageSigner, request: ListThings | None = None) -> str:
    request = request or ListThings(page_size=10)
    token = signer.next_token("list_things", request, ADA, Window(0, 10), 25)
    assert token is not None
    return token


def test_a_token_opens_the_next_page(signer: PageSigner) -> None:
    request = ListThings(page_size=10, page_token=_token(signer))
    assert signer.window("list_things", request, ADA) == Window(10, 10)


def test_the_last_page_has_no_token(signer: PageSigner) -> None:
    assert signer.next_token("list_things", ListThings(), ADA, Window(20, 10), 25) is None


def test_skip_and_limit_are_the_other_style(signer: PageSigner) -> None:
    assert signer.window("list_things", ListThings(skip=5, limit=7), ADA) == Window(5, 7)


@pytest.mark.parametrize("fields", [{"skip": 1, "page_size": 2}, {"limit": 1, "page_token": "x" * 40}])
def test_two_styles_in_one_call_are_refused(signer: PageSigner, fields: dict[str, int]) -> None:
    with pytest.raises(InvalidArgument):
        signer.window("list_things", ListThings.model_validate(fields), ADA)


@pytest.mark.parametrize("by", [BOB, ADA_ELSEWHERE])
def test_a_token_of_somebody_else_opens_nothing(signer: PageSigner, by: Principal) -> None:
    with pytest.raises(NotFound):
        signer.window("list_things", ListThings(page_size=10, page_token=_token(signer)), by)


def test_a_token_of_another_tool_opens_nothing(signer: PageSigner) -> None:
    with pytest.raises(NotFound):
        signer.window("list_jobs", ListThings(page_size=10, page_token=_token(signer)), ADA)


def test_a_token_of_other_arguments_opens_nothing(signer: PageSigner) -> None:
    with pytest.raises(NotFound):
        signer.window("list_things", ListThings(q="x", page_size=10, page_token=_token(signer)), ADA)


def test_a_tampered_token_opens_nothing(signer: PageSigner) -> None:
    token = _token(signer)
    for place in range(0, len(token), 5):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        with pytest.raises(NotFound):
            signer.window("list_things", ListThings(page_size=10, page_token=changed), ADA)


def test_a_token_expires(signer: PageSigner, clock: Clock) -> None:
    request = ListThings(page_size=10, page_token=_token(signer))
    clock.now += TOKEN_LIFETIME_S + 1
    with pytest.raises(NotFound):
        signer.window("list_things", request, ADA)


@pytest.mark.parametrize("token", ["", "short", "x" * 200, "ü" * 40, "a b" * 20, "x" * 39 + "\n"])
def test_what_is_no_token_is_refused_by_its_form(token: str) -> None:
    with pytest.raises(ValidationError):
        ListThings(page_token=token)


@pytest.mark.parametrize("length", [32, 33, 34, 35, 128])
def test_a_token_of_any_length_that_opens_nothing_is_not_found(signer: PageSigner, length: int) -> None:
    with pytest.raises(NotFound):
        signer.window("list_things", ListThings(page_token="A" * length), ADA)
