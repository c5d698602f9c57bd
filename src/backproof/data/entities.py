"""A text of our own with persons, places and organisations: made from a small grammar, the same for everyone.

Gives   sentences with BIO tags. Half of the names of the second part do not occur in the first, so that a tagger must read
        the words around a name; some words are names only beside certain others ("Museums in Paris", "Paris Jordan sings").
"""

import random

from .conll import Tagged

__all__ = ["ENTITIES", "entities"]

ENTITIES = "entities"                    # its name on the command line

FIRST = "Ada Bruno Chen Dalia Emil Fatima Goran Hana Ivo Jun Kofi Lena Mira Noor Otto Paris Quinn Rosa Sven Tara".split()
LAST = "Abel Berg Castro Dunn Eriksen Fuchs Garcia Haddad Ito Jordan Kim Lund Meyer Novak Okoye Petrov Sato Wang".split()
PLACE = ("Paris|Lima|Oslo|Cairo|Delhi|Kyoto|Berlin|Porto|Jordan|Chad|New York|San Marino|Cape Town|Lake Garda|"
         "Hanoi|Quito|Nairobi|Geneva|Lyon|Graz").split("|")
GROUP = ("Acme Corporation|Blue River Bank|Nordwind|Sunrise Media|Helix Labs|Orion Motors|Old Harbour Museum|Delta Foods|"
         "Graz University|Lima Times|Kestrel Airways|Union of Bakers").split("|")
THINGS = "Museums Markets Trains Bridges Gardens Winters Taxis Bakeries".split()
QUALITY = "amazing crowded cheap quiet old splendid closed famous".split()
DAYS = "Monday Tuesday Friday Sunday yesterday today".split()

PATTERNS = """
{things} in {place} are {quality} .
{person} lives in {place} and works for {group} .
{group} opened an office in {place} on {day} .
{person} met {person} near {place} {day} .
We visited {place} with {person} .
The director of {group} , {person} , said nothing {day} .
Shares of {group} fell in {place} .
{person} sings in {place} ; the {things2} there are {quality} .
Nothing happened {day} .
The {things2} were {quality} and nobody came .
Is {place} far from {place} ?
"I love {place} ! " wrote {person} from {group} .
{things} by {group} are {quality} .
A letter from {person} reached {group} .
Why did {person} leave {group} for {place} ?
In {place} the {things2} close on {day} .
""".replace('"', ' " ').strip().split("\n")


def entities(part="training"):
    """The Tagged text: "training" (150 sentences), "validation" (40) or "test" (60).

    >>> text = entities()
    >>> len(text.sentences), " ".join(text.sentences[0]), " ".join(text.tags[0])
    (150, 'Shares of Helix Labs fell in Nairobi .', 'O O B-group I-group O O B-place O')
    """
    sizes = {"training": 150, "validation": 40, "test": 60}
    draw = random.Random(f"backproof entities {part}")
    known = part == "training"
    sentences, tags, lines, line = [], [], [], 1
    for _ in range(sizes[part]):
        words, marks = _sentence(draw, known)
        sentences.append(words)
        tags.append(marks)
        lines.append(line)
        line += len(words) + 1
    return Tagged(sentences, tags, lines, f"{ENTITIES}, {part}")


def _sentence(draw, known):
    """One sentence; in training the names of the second half of each list are left out."""
    def name(names):
        return draw.choice(names[::2] if known else names).split()
    words, marks = [], []
    for piece in draw.choice(PATTERNS).split():
        kind = piece.strip("{}")
        if kind == "person":
            found = name(FIRST) + (name(LAST) if draw.random() < 0.6 else [])
        elif kind in ("place", "group"):
            found = name(PLACE if kind == "place" else GROUP)
        else:
            lists = {"things": THINGS, "things2": [w.lower() for w in THINGS], "quality": QUALITY, "day": DAYS}
            words.append(draw.choice(lists[kind]) if piece.startswith("{") else piece)
            marks.append("O")
            continue
        words += found
        marks += [f"B-{kind}"] + [f"I-{kind}"] * (len(found) - 1)
    return words, marks
