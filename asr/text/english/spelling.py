"""British to American spelling, by rule and by list.

In: a word in lower case. Out: its American spelling; only spelling, never another word (towards is kept: it sounds
different from toward). Regular endings (-ise, -isation, -yse, -our, -lled) are changed by rule, with lists of the words
to which a rule applies or does not; the rest is a list.
"""

import functools
import re


def _pairs(text: str) -> dict[str, str]:
    """``british:american`` words of a text as a table."""
    return dict(pair.split(":") for pair in text.split())


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_OUR = (
    "arb ard arm behavi cand clam cl col demean endeav enam fav ferv flav glam harb hon hum lab mis-behavi neighb od "
    "parl ranc rig rum sav sav splend succ tum val vap vig"
)
_ISE_STAYS = _words(
    """
    adverti advi anali apprai appri ari bli brai bru brui chasti chemi circumci compri compromi conci cro crui demi
    despi devi disgui enterpri exci exerci experti fortni franchi gui improvi inci liai merchandi metropoli misadvi
    moonri mortgagi noi orchi overexerci paradi poi porpoi portculli prai preci premi promi rai repri revi ri rui
    sunri supervi surmi surpri televi tortoi trea treati trelli turquoi unpracti upri vali vi
    """
)
_ISE = re.compile(r"([a-z]{3,})is(e|ed|es|er|ers|ing|ingly|able|ably|ation|ations|ational)")
_YSE = re.compile(r"((?:psycho)?anal|breathal|paral|catal|electrol|hydrol|dial)ys(e|ed|es|er|ers|ing)")
_OUR_RULE = re.compile(
    rf"((?:dis|mis|un|re|multi|water|tri|techni|be)?(?:{'|'.join(sorted(set(_OUR.split())))}))our([a-z]*)"
)
_DOUBLED_STEMS = (
    "appare backpeda bedevi bejewe beve cance cavi channe carro chise counse cudge dia dishe disembowe "
    "drive due equa fue funne gambo grave grove grue have impane initia jewe kidna labe leve libe marsha "
    "marve meda mode pane parce paralle peda penci peta pumme quarre rave reve riva shove shrive signa "
    "snive snorke spira squirre stenci swive tasse tinse tota towe tramme trave tria tunne unrave victua "
    "wease yode"
)
_DOUBLED = re.compile(rf"((?:un|re)?(?:{'|'.join(_DOUBLED_STEMS.split())}))ll(ed|ing|er|ers|ings|ingly|ous|ously)")
_RE_STEMS = (
    "cent epicent theat amphitheat lit centilit millilit met kilomet centimet millimet micromet fib calib lust "
    "lacklust meag sab somb spect sepulch scept och goit mit louv reconnoit saltpet"
)
_CENTRE = re.compile(rf"({'|'.join(_RE_STEMS.split())})re(s|d)?")
_GRAMME = re.compile(r"((?:kilo|milli|centi|pro)?gram)me(s)?")
# Stems wherever they stand: digraphs that American spelling has as one letter, and a few others.
_STEMS = _pairs(
    """
    anaem:anem anaesthe:anesthe archaeo:archeo diarrhoea:diarrhea encyclopaed:encycloped faec:fec foet:fet gaol:jail
    grey:gray gynaeco:gyneco haemato:hemato haemo:hemo homoeo:homeo leukaem:leukem manoeuvr:maneuver mediaev:mediev
    mould:mold moult:molt oesoph:esoph oestro:estro orthopaed:orthoped paediatr:pediatr paedophil:pedophil
    palaeo:paleo plough:plow primaev:primev sceptic:skeptic sulph:sulf tranquill:tranquil
    """
)
_STEM = re.compile("|".join(_STEMS))
_OGUE = re.compile(r"(dial|catal|anal|monol|prol|epil)ogue(s|d)?")
_LIST = _pairs(
    """
    acknowledgement:acknowledgment ageing:aging appal:appall artefact:artifact artefacts:artifacts axe:ax
    behove:behoove cancelation:cancellation catalogued:cataloged cataloguing:cataloging centrepiece:centerpiece
    centrepieces:centerpieces cheque:check chequered:checkered cheques:checks chilli:chili connexion:connection
    connexions:connections cosier:cozier cosily:cozily cosy:cozy councillor:councilor councillors:councilors
    counsellor:counselor counsellors:counselors defence:defense defenceless:defenseless defences:defenses
    distil:distill draught:draft draughts:drafts enrol:enroll enrolment:enrollment enrols:enrolls fulfil:fulfill
    fulfilment:fulfillment fulfils:fulfills gipsies:gypsies gipsy:gypsy instalment:installment
    instalments:installments instil:instill jewellery:jewelry judgement:judgment judgements:judgments kerb:curb
    licence:license licences:licenses likeable:likable manoeuvre:maneuver manoeuvred:maneuvered manoeuvres:maneuvers
    moustache:mustache moustaches:mustaches offence:offense offences:offenses practise:practice practised:practiced
    practising:practicing pretence:pretense pretences:pretenses pyjamas:pajamas skilful:skillful
    skilfully:skillfully sombrely:somberly storey:story storeys:stories theatregoer:theatergoer tyre:tire
    tyres:tires waggon:wagon waggoner:wagoner waggons:wagons whisky:whiskey wilful:willful wilfully:willfully
    woollen:woolen woolly:wooly yoghurt:yogurt
    """
)


@functools.lru_cache(maxsize=65536)
def american(word: str) -> str:
    """The American spelling of a word, a possessive too; any other word as it is."""
    stem, apostrophe, ending = word.partition("'")
    if apostrophe:
        return f"{american(stem)}'{ending}"
    if word in _LIST:
        return _LIST[word]
    word = _STEM.sub(lambda found: _STEMS[found[0]], word)
    for rule, change in _RULES:
        found = rule.fullmatch(word)
        if found is not None:
            return change(found)
    return word


def _ize(found: re.Match[str]) -> str:
    stem = found[1] + "i"
    stays = stem.endswith(("ai", "oi", "ui", "wi")) or any(
        stem == known or (len(known) > 4 and stem.endswith(known)) for known in _ISE_STAYS
    )
    return found[0] if stays else f"{found[1]}iz{found[2]}"


_RULES = (
    (_YSE, lambda found: f"{found[1]}yz{found[2]}"),
    (_OUR_RULE, lambda found: f"{found[1]}or{found[2]}"),
    (_DOUBLED, lambda found: f"{found[1]}l{found[2]}"),
    (_CENTRE, lambda found: f"{found[1]}er{'ed' if found[2] == 'd' else found[2] or ''}"),
    (_GRAMME, lambda found: f"{found[1]}{found[2] or ''}"),
    (_OGUE, lambda found: f"{found[1]}og{found[2] or ''}"),
    (_ISE, _ize),
)
