"""Ways to say the same that are easier to read: shares told backwards, texts that are looked for in any case."""

import re

_LITERAL = r"['\"][^'\"\n]{1,60}['\"]"
_LITERALS = rf"{_LITERAL}(?:(?:,? (?:or|and) |, ){_LITERAL})*"
_SHARE = r"(?:%|per ?cent(?:age)?|share|fraction|proportion|portion)"
_BACKWARDS = re.compile(
    rf"^(?:out )?of (?P<things>(?:all|the|our|every) [^,?]{{3,80}}), (?:what|which|how large a) {_SHARE} "
    r"(?P<verb>is|are|was|were|has|have|had|do|does|did|got)\b(?P<rest>[^?]*)",
    re.I,
)
_SIGN = re.compile(r"\b(what|which) %", re.I)
_CASE = re.compile(
    r",?\s*\(?(?:in (?:upper or lower|lower or upper|any|either|whatever) case|(?:matched )?case[- ]insensitive(?:ly)?"
    r"|(?:ignoring|regardless of|whatever) (?:the |upper (?:or|and) lower )?case)\)?",
    re.I,
)
_LOOKED_FOR = re.compile(
    rf"\b(?:contain\w*|mention\w*|includ\w*|(?:start|begin|end)\w* (?:in|with)|has|have|with)\b[^.;]*{_LITERAL}", re.I
)
_HELD = re.compile(
    rf"^(?P<name>(?:[\w-]+ ){{1,4}}?)(?:have|has|carry|contain) (?P<texts>{_LITERALS}) in (?:their|its|the) "
    r"(?P<column>[\w ]{3,30}?)(?=[.;,]|$)",
    re.I | re.M,
)
_SENTENCES = re.compile(r"(?<=[.;])\s+|\n+")


def plain_question(question: str) -> str:
    """`Out of all the cats, what % is neutered?` as `what percentage of all the cats is neutered?`"""
    question = _SIGN.sub(r"\1 percentage", question)
    return _BACKWARDS.sub(lambda m: f"What percentage of {m['things']} {m['verb']}{m['rest']}", question)


def plain_text(text: str) -> str:
    """Knowledge in which texts are looked for as such: in whatever case, which goes without saying."""
    found = []
    for sentence in _SENTENCES.split(text):
        if _LOOKED_FOR.search(sentence):
            sentence = _CASE.sub("", sentence)
        match = _HELD.match(sentence)
        if match is not None:
            name = match["name"].strip()
            thing = name.split()[-1]
            sentence = f"{name} are {thing} whose {match['column']} contains {match['texts']}{sentence[match.end() :]}"
        found.append(sentence)
    return "\n".join(found) if len(found) > 1 else found[0] if found else text
