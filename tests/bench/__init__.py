"""How fast is it? Measurements beside their targets: `python -m tests.bench [name ...]`.

    load     what `%load_ext cborg_magics` adds to the start of IPython
    start    what the extension adds to the start of a kernel
    stream   `%%chat` against a plain loop over the openai SDK, in a real kernel
    embed    20,000 texts in batches, against the least that 5 requests at a time can take
    search   the nearest of a million vectors, against the bare product
    lab      a long answer in a real JupyterLab, against a plain way to show it

Not part of the tests: it wants a quiet machine, and some minutes. Whatever is compared is
alternated in one run, so that a busy machine slows both; figures are medians. A process measures
the `cborg_magics` that its PYTHONPATH says, so a copy can be measured like the checkout.
"""
