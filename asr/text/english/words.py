"""Contractions, titles and hesitations.

In: words in lower case, without punctuation. Out: words with contractions and titles in full. What is ambiguous is left
as it is, or decided by the next word: ``he'd gone`` is he had gone, ``he'd go`` is he would go; ``john's`` stays.
"""

from collections.abc import Sequence


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


HESITATIONS = frozenset(["uh", "uhh", "um", "umm", "uhm", "er", "erm", "hm", "hmm", "hmmm", "mm", "mmm", "mhm"])

_WHOLE = {
    "won't": "will not",
    "can't": "can not",
    "cannot": "can not",
    "shan't": "shall not",
    "let's": "let us",
    "y'all": "you all",
    "gonna": "going to",
    "wanna": "want to",
    "gotta": "got to",
    "kinda": "kind of",
    "sorta": "sort of",
    "dunno": "do not know",
    "ma'am": "madam",
    "i'ma": "i am going to",
    "woulda": "would have",
    "coulda": "could have",
    "shoulda": "should have",
    "'tis": "it is",
    "mr": "mister",
    "mrs": "missus",
    "messrs": "messieurs",
    "dr": "doctor",
    "prof": "professor",
    "capt": "captain",
    "sgt": "sergeant",
    "lt": "lieutenant",
    "jr": "junior",
    "sr": "senior",
    "vs": "versus",
    "etc": "et cetera",
    "ok": "okay",
    "alright": "all right",
}
_ENDINGS = {"n't": "not", "'re": "are", "'ll": "will", "'ve": "have", "'m": "am"}
_SUBJECTS = _words(
    """
    i you he she it we they that this there here what who where when how why everybody everyone everything somebody
    someone something nobody nothing
    """
)
_PARTICIPLES = _words(
    """
    been got gone had done become taken come seen made said given known found lost left kept begun written
    """
)


def expand_words(words: Sequence[str]) -> list[str]:
    """Contractions and titles in full."""
    out: list[str] = []
    for index, word in enumerate(words):
        follower = words[index + 1] if index + 1 < len(words) else ""
        out += _expand(word, follower).split()
    return out


def _expand(word: str, follower: str) -> str:
    if word in _WHOLE:
        return _WHOLE[word]
    if word == "st":  # a street where nothing follows, else mostly a saint
        return "saint" if follower else word
    if "'" not in word or word == "ain't":
        return word
    for ending, full in _ENDINGS.items():
        stem = word.removesuffix(ending)
        if stem != word and stem:
            return f"{_expand(stem, full)} {full}"
    stem, _, ending = word.rpartition("'")
    if stem in _SUBJECTS and ending == "s":
        return f"{stem} {'has' if follower in _PARTICIPLES else 'is'}"
    if stem in _SUBJECTS and ending == "d":
        return f"{stem} {'had' if follower in _PARTICIPLES or follower == 'better' else 'would'}"
    return word
