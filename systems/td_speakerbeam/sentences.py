"""Plain English sentences put together from word lists, for voices to say: training speech for td-speakerbeam-mini."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from tspbench.tasks import demo_voices

RUN = 4
"""No sentence shares as many words in a row with one of the demo tasks."""

WORDS = {
    "person": """the judge;the painter;my uncle;a young lawyer;the new cook;our grandmother;the fisherman;a quiet boy
        the chemist;their landlord;a famous author;the tired waiter;my aunt;the plumber;your cousin;the major
        a clever girl;the shepherd;the engineer;our coach;the barber;a polite stranger;the queen;the mayor
        my nephew;the drummer;a careful driver;the gardener;the butcher;the pharmacist;an old sailor;the juggler""",
    "people": """the guests;three women;the workers;most visitors;both twins;several hikers;the soldiers;my parents
        the villagers;those men;the actors;a few pupils;the lawyers;the dancers;their grandchildren;the climbers""",
    "thing": """a wooden ladder;the copper kettle;a leather jacket;the broken mirror;a pair of scissors;the green vase
        a bag of onions;the silver spoon;a thick blanket;the large envelope;a jar of honey;the yellow umbrella
        a rusty bicycle;the guitar;a paper bag;the glass bowl;a bucket of sand;the camera;an orange scarf
        the wooden chest;a loaf of rye;the plastic chair;a basket of cherries;the heavy suitcase;a golden ring
        the violin;a shovel;the iron chain;a bottle of juice;the tiny statue;a bunch of grapes;the vacuum cleaner
        a square cushion;the map;a warm sweater;the teapot;a jigsaw puzzle;the birdcage;a roll of tape;the hammer""",
    "did": """found;carried away;painted;wanted to sell;dropped;cleaned;searched for;borrowed;hid;picked up;repaired
        threw out;asked for;photographed;bought;described;paid for;forgot about;wrapped up;pointed at;noticed
        measured;looked after;sketched;brought back;lifted;packed;stared at;showed me;gave away""",
    "place": """near the fountain;under the stairs;in the attic;at the market;beside the lake;in front of the bank
        across from the theater;behind the shed;on the roof;in a narrow alley;next to the church;at the airport
        on the ferry;in the cellar;outside the courthouse;below the cliff;between two parked vans;by the chimney
        in the orchard;at the edge of the forest;on the upper deck;in the hospital;over the fence;at the stadium
        among the bushes;in the hallway;along the canal;inside the cave;on the balcony;around the corner""",
    "time": """last tuesday;before sunrise;in early june;just after noon;two weeks ago;during the holidays;at dawn
        on sunday afternoon;all through october;a month later;late in the evening;at half past five;once a year
        the day before yesterday;in the spring;as usual;without any warning;for the third time;after the concert
        on her birthday;since january;every wednesday;this weekend;on a foggy night;around lunchtime;by accident""",
    "happened": """laughed out loud;sat down and rested;had to wait;began to shout;disappeared quietly;spoke to a crowd
        stood perfectly still;fell over twice;argued about money;sang an ancient song;jumped with joy;was very brave
        lived on fish and fruit;refused to answer;slept for an hour;shook hands;made a huge mistake;felt ashamed
        kept on whistling;got lost again;stayed calm;gathered mushrooms;played chess;whispered something;went hiking
        told us a joke;drew a circle;climbed higher;studied physics;practiced juggling;tried to hurry;smiled at me""",
    "noun": """engine;pillow;journal;zebra;shadow;village;cherry;thunder;oyster;curtain;jungle;blossom;pepper;voyage
        choir;feather;measure;cushion;island;whistle;magazine;thumb;rocket;valley;circus;puzzle;vision;garage;yacht
        hedge;knife;treasure;sausage;ladder;mushroom;orchestra;diamond;fabric;kingdom;giraffe;towel;weather;jewel
        sheep;boot;oven;earth;shelf;judge;youth;bridge;chalk;ghost;wheel;fox;queue;hoof;noise;loud bell;gift""",
    "quality": """smooth;dangerous;purple;rather cheap;enormous;fresh;unusual;sharp;thick;yellow;quite noisy;valuable
        ugly;soft;too narrow;hollow;frozen;delicious;curious;square;shiny;weak;truly awful;cosy;ripe;rough;fragile
        genuine;huge;bitter;humid;thirsty;joyful;cruel;modern;jagged;pure;wet;ancient;precious;sour;vague;rich""",
    "verb": """borrow;enjoy;examine;imagine;push;measure;choose;describe;avoid;watch;polish;guess;throw;join;judge
        follow;destroy;explain;hold;wash;chew;squeeze;admire;question;recognize;cover;allow;change;share;use;zip up""",
    "number": """two;three;five;six;eight;nine;eleven;thirteen;fourteen;sixteen;nineteen;thirty;forty three;sixty
        seventy one;eighty five;a hundred;a thousand""",
    "unit": """miles;dollars;hours;gallons;feet;pounds;years;steps;pages;votes;bricks;eggs;jars;inches;tons;stamps""",
    "how": """slowly;with great care;as fast as possible;in silence;very gently;with a loud noise;by mistake;eagerly
        without a word;together;rather badly;twice;on purpose;in the usual way;with both hands;cheerfully;at once""",
    "why": """because of the smoke;although nobody asked;if you agree;while it snowed;unless the judge objects
        as long as it works;even though it hurts;so we could leave;when the bell rang;until the engine cooled down
        after we had argued;in case it breaks;since the oven was off;before anyone noticed;whenever they visited us
        though the water was shallow;while the choir rehearsed;because she missed the ferry;once the fog lifted""",
    "start": """perhaps;in my opinion;to be honest;of course;luckily;as you know;years later;at first;strangely enough
        in theory;therefore;by the way;sooner or later;according to him;without doubt;suddenly;above all""",
}
PATTERNS = (
    "{person} {did} {thing} {place}",
    "{person} {did} {thing} {time}",
    "{people} {did} {thing} {why}",
    "{start} {person} {happened} {place}",
    "{people} {happened} {place} {time}",
    "{time} {people} {happened} {why}",
    "{person} {happened} {how} {why}",
    "that {noun} is {quality} but the {noun} looks {quality}",
    "could you {verb} the {quality} {noun} {time}",
    "why did {person} {verb} every {noun} {place}",
    "{start} they will {verb} the {noun} and {verb} the {noun}",
    "it cost {number} {unit} to {verb} that {noun} {how}",
    "there were {number} {unit} between the {noun} and the {noun}",
    "never {verb} a {quality} {noun} {why}",
    "{thing} and {thing} lay {place}",
    "{start} a {quality} {noun} is worth {number} {unit}",
    "{person} and {people} {happened} {time}",
    "let us {verb} this {noun} {how} {why}",
)
CHOICES = {name: [" ".join(words.split()) for words in re.split(r"[;\n]", text)] for name, text in WORDS.items()}


def sentences(count: int, seed: int, avoid: Iterable[str]) -> list[str]:
    """Different sentences without punctuation, none with :data:`RUN` words in a row of those to avoid."""
    taken = {run for sentence in avoid for run in runs(sentence)}
    rng = np.random.default_rng(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        sentence = _drawn(rng)
        if not taken & set(runs(sentence)):
            found.setdefault(sentence)
    return list(found)


def runs(sentence: str) -> Iterator[tuple[str, ...]]:
    """The words of a sentence, every :data:`RUN` in a row of them."""
    words = sentence.lower().split()
    return (tuple(words[start : start + RUN]) for start in range(len(words) - RUN + 1))


def of_the_tasks() -> list[str]:
    """What the demo tasks' voices say."""
    with open(Path(demo_voices.__file__).with_name("sentences.csv"), newline="", encoding="utf-8") as table:
        return [row["transcript"] for row in csv.DictReader(table)]


def _drawn(rng: np.random.Generator) -> str:
    pattern = PATTERNS[rng.integers(len(PATTERNS))]
    words = re.sub(r"{(\w+)}", lambda slot: CHOICES[slot[1]][rng.integers(len(CHOICES[slot[1]]))], pattern)
    return re.sub(r"\ba(?= [aeio])", "an", words)
