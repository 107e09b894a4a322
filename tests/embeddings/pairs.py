"""Which sentences say the same in other words? 24 pairs, from many fields, of our own.

Partners share hardly a word, so that they are found by what they mean or not at all.
"""

PAIRS = (
    # astronomy, physics
    ("Jupiter is the largest planet.",
     "No other world that orbits the Sun is as big as this gas giant."),
    ("The galaxy is moving away from us.",
     "This distant island of stars recedes, as its redshift shows."),
    ("The battery can be charged in ten minutes.",
     "Filling this cell with electricity takes hardly any time."),
    ("Nothing can travel faster than light.",
     "There is an upper limit to the speed of every object."),
    # chemistry, materials
    ("Iron rusts in damp air.",
     "Moist oxygen corrodes steel."),
    ("The acid was neutralized with caustic soda.",
     "We added sodium hydroxide until the pH was seven."),
    ("Salt lowers the freezing point of water.",
     "Brine stays liquid where pure ice would form."),
    # life
    ("Leaves turn sunlight into sugar.",
     "Plants make their own food by photosynthesis."),
    ("The vaccine protects children against measles.",
     "Immunization keeps infants from catching this disease."),
    ("She broke her leg skiing.",
     "On the slopes he fractured a shin bone."),
    ("Bees carry pollen from flower to flower.",
     "Insects fertilize blossoms while they collect nectar."),
    ("The patient has a high fever.",
     "His body temperature is well above normal."),
    # earth
    ("It has not rained here for months.",
     "A long drought has struck the region."),
    ("The ground shook and houses fell down.",
     "An earthquake destroyed many buildings."),
    ("Glaciers are melting as the climate warms.",
     "Rising temperatures make mountain ice retreat."),
    # computing, mathematics
    ("The program crashed because it ran out of memory.",
     "Lacking RAM, the process was killed."),
    ("My password no longer works.",
     "I cannot log in to my account."),
    ("The network memorizes its training data and fails on new examples.",
     "The model overfits and does not generalize."),
    ("There is no largest prime number.",
     "Primes go on without end."),
    # money, law
    ("Prices have risen sharply this year.",
     "Inflation makes everything more expensive."),
    ("The judge sent the thief to prison.",
     "A court convicted the burglar and he went to jail."),
    # in two languages
    ("The museum is closed on Mondays.",
     "Le lundi, le musée n'ouvre pas ses portes."),
    ("The train to Amsterdam is late.",
     "De trein naar Amsterdam heeft vertraging."),
    ("The cat is asleep on the sofa.",
     "Die Katze schläft auf dem Sofa."),
)  # fmt: skip
