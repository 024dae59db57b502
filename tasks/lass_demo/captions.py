"""What people might write to ask for each class of sound, by its kind."""

from __future__ import annotations

ANY = "any"
"""Key of the captions that fit every kind of a class."""

CAPTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "bird_song": {
        ANY: (
            "a bird is singing",
            "birdsong",
            "a small bird whistles phrase after phrase",
            "chirping of a bird in a tree",
        ),
        "warbler": ("a bird warbles with rising and falling notes",),
        "finch": ("a finch sings quick notes that fall in pitch",),
    },
    "car_engine": {
        ANY: (
            "a car engine is running",
            "the sound of a motor car",
            "the engine of a car near by",
            "a petrol engine runs",
        ),
        "idling": ("a car stands with its engine idling",),
        "revving": ("someone revs the engine of a car",),
    },
    "church_bell": {
        ANY: (
            "a church bell is ringing",
            "a bell tolls in a tower",
            "slow strokes of a bell",
            "the chime of a church bell",
        ),
        "great": ("a great deep bell tolls",),
        "small": ("a small bell of a chapel rings",),
    },
    "clock_ticking": {
        ANY: ("a clock is ticking", "tick-tock of a clock", "the steady ticks of a clock", "ticking"),
        "wall": ("a wall clock ticks slowly in a quiet room",),
        "alarm": ("an old alarm clock ticks quickly",),
    },
    "crickets": {
        ANY: (
            "crickets are chirping",
            "insects chirp at night",
            "the high chirp of a cricket",
            "crickets in the grass",
        ),
        "single": ("one cricket chirps again and again",),
        "chorus": ("several crickets chirp together",),
    },
    "dog_bark": {
        ANY: ("a dog is barking", "a dog barks again and again", "barking", "the bark of a dog outside"),
        "large": ("a large dog barks in a deep voice",),
        "small": ("a small dog yaps",),
    },
    "footsteps": {
        ANY: (
            "someone is walking",
            "footsteps",
            "the steps of a person who walks past",
            "a person walks at an even pace",
        ),
        "wood": ("footsteps on a wooden floor",),
        "gravel": ("someone walks on gravel",),
    },
    "helicopter": {
        ANY: (
            "a helicopter is flying",
            "the chopping blades of a helicopter",
            "a helicopter hovers above",
            "rotor noise",
        ),
        "light": ("a light helicopter passes with fast blades",),
        "heavy": ("a heavy helicopter thumps overhead",),
    },
    "keyboard_typing": {
        ANY: ("someone is typing", "typing on a computer keyboard", "keys of a keyboard clack", "a typist at work"),
        "mechanical": ("loud clicks of a mechanical keyboard",),
        "laptop": ("soft typing on a laptop",),
    },
    "rain": {
        ANY: ("rain is falling", "rain falls steadily on a roof", "the patter of rain", "it is raining"),
        "light": ("light rain with single drops",),
        "heavy": ("heavy rain pours down",),
    },
    "sea_waves": {
        ANY: ("waves break on a beach", "the sea", "waves wash up on the shore and draw back", "surf at the seaside"),
        "calm": ("calm waves roll slowly onto the sand",),
        "rough": ("rough waves crash on the shore",),
    },
    "siren": {
        ANY: (
            "a siren is sounding",
            "the siren of an emergency vehicle",
            "an ambulance or police siren",
            "a loud siren",
        ),
        "wail": ("a siren wails slowly up and down",),
        "yelp": ("a siren yelps with fast sweeps",),
        "two-tone": ("a two-tone siren, high and low in turn",),
    },
    "telephone": {
        ANY: (
            "a telephone is ringing",
            "the phone rings",
            "a ringing telephone that nobody answers",
            "ring of a telephone",
        ),
        "bell": ("the bell of an old telephone rings",),
        "electronic": ("an electronic telephone warbles",),
    },
    "train_horn": {
        ANY: (
            "a train blows its horn",
            "the horn of a locomotive",
            "long blasts of a train horn",
            "a train horn sounds",
        ),
        "five-chime": ("a train horn of many notes",),
        "three-chime": ("a train horn of three notes",),
    },
    "wind": {
        ANY: ("the wind is blowing", "wind in the open", "gusts of wind", "the rush of wind"),
        "breeze": ("a breeze rustles past",),
        "howling": ("the wind howls round a house",),
    },
}


def captions_of(name: str, kind: str) -> tuple[str, ...]:
    """Every caption that fits a sound of this class and kind."""
    return CAPTIONS[name][ANY] + CAPTIONS[name][kind]
