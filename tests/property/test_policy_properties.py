"""Whatever is asked for: a denial stands, nothing runs that is not listed, and matching agrees with its definition."""

from hypothesis import given, settings
from hypothesis import strategies as st

from workers.agent.core.policy import ANY_WORDS, Asked, Policy, Section, matches, refusal

WORDS = ["a", "b", "ab", "*", "a*", "?", ANY_WORDS]
patterns = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(tuple)
argvs = st.lists(st.sampled_from(["a", "b", "ab", "x y"]), min_size=1, max_size=6)
sections = st.builds(Section, st.lists(patterns, max_size=3).map(tuple), st.lists(patterns, max_size=3).map(tuple))


def by_definition(pattern: tuple[str, ...], words: list[str]) -> bool:
    """The meaning of a pattern, said as plainly as can be."""
    if not pattern:
        return not words
    first, rest = pattern[0], pattern[1:]
    if first == ANY_WORDS:
        return any(by_definition(rest, words[count:]) for count in range(len(words) + 1))
    return bool(words) and matches((first,), words[:1]) and by_definition(rest, words[1:])


def asked(argv: list[str]) -> Asked:
    return Asked(executor="command", users=("svc",), folder="/", programs=(argv[0],), arguments=tuple(argv[1:]))


@settings(max_examples=1000, deadline=None, database=None)
@given(pattern=patterns, words=argvs)
def test_matching_is_as_defined(pattern: tuple[str, ...], words: list[str]) -> None:
    assert matches(pattern, words) == by_definition(pattern, words)


@settings(max_examples=1000, deadline=None, database=None)
@given(section=sections, argv=argvs)
def test_denials_win_and_only_what_is_listed_runs(section: Section, argv: list[str]) -> None:
    denied = any(by_definition(pattern, argv) for pattern in section.deny)
    listed = any(by_definition(pattern, argv) for pattern in section.allow)

    assert (refusal(Policy({"commands": section}), asked(argv)) == "") == (listed and not denied)
