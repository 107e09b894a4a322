"""What does the model answer? 16 kB of Markdown: prose, tables, lists, code and formulas."""

from __future__ import annotations

import re

SIZE = 15_500  # characters at least
TOKEN = 4  # characters

_SECTION = r"""## {n}. Calibration of module {n}

The **gain** of module {n} follows $g_{{{n}}}(T) = g_0 \left(1 + \alpha_{{{n}}} \Delta T\right)$,
where $\alpha_{{{n}}} = {n}.2 \times 10^{{-3}}$ is *measured* and $\Delta T = T - T_0$. It is stable
within {n}.5 % between `run_{n}00` and `run_{n}99`; the pedestal stays below
$p < {n}0\,\mathrm{{ADC}}$.

| channel | gain | noise | $\chi^2/n$ |
|--------:|-----:|------:|:----------:|
| {n}1 | 2.5{n} | 0.{n}1 | 1.0{n} |
| {n}2 | 3.1{n} | 0.{n}2 | 0.9{n} |
| {n}3 | 2.9{n} | 0.{n}3 | 1.1{n} |
| {n}4 | 3.0{n} | 0.{n}4 | 1.0{n} |

1. Take the spectrum $S_{{{n}}}(E)$ and subtract the background $B(E)$.
2. Fit the peak at $E_{{{n}}} = 511\,\mathrm{{keV}}$:
   - once with a free width $\sigma$,
   - once with $\sigma = \sqrt{{a^2 + bE}}$.

$$
\int_0^\infty e^{{-x^2 / {n}}}\,dx = \frac{{\sqrt{{{n}\pi}}}}{{2}}, \qquad
\sigma_{{{n}}}^2 = \frac{{1}}{{N-1}} \sum_{{i=1}}^{{N}} \left(x_i - \bar{{x}}\right)^2
$$

```python
def gain_{n}(temperature: float, reference: float = 20.0) -> float:
    '''The gain of module {n}, corrected for the temperature in degrees.'''
    slope = {n}.2e-3
    values = [1.0 + slope * (temperature - reference) for _ in range({n})]
    return sum(values) / len(values)  # one value for each run
```

> The fit did not converge in {n} of 100 runs; they are left out.

"""

# What only the last token completes: until it is here, there is no such formula on the screen.
END = "And so the report ends with $z_{end} = 1$."


def text() -> str:
    """The answer: sections up to the size, and the end."""
    sections, n = "", 0
    while len(sections) < SIZE:
        n += 1
        sections += _SECTION.format(n=n)
    return f"# Detector report\n\n{sections}{END}\n".strip()


def tokens(most: int | None = None) -> list[str]:
    """The answer in pieces of some characters each, or so many of them."""
    return re.findall(rf"(?s).{{1,{TOKEN}}}", text())[:most]
