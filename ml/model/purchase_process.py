"""
Purchases as a process that ends unseen: BG/NBD for when, Gamma-Gamma for how much. Foretells horizons that no label reaches.

BG/NBD (Fader, Hardie and Lee 2005, "Counting Your Customers" the Easy Way): while a customer lives, purchases come at a rate
that is gamma-distributed over customers; after each purchase but the first the customer leaves with a chance that is
beta-distributed. Gamma-Gamma (Fader, Hardie 2013): what a purchase costs scatters around the customer's own mean, and that
over customers. Both see a customer only as count, last time and age (and mean amount), so equal customers are counted, not
repeated. Times are in any one unit, which is that of the parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NODES = 64
"""Of the quadrature over the chance to leave: it has ten right digits, and five where the horizon is ten times the age."""

DRAWS = 1_000
"""Of a predictive distribution, for each count and age: a tenth of it then has a standard error of a hundredth."""

SEED = 0

LOG_BOUNDS = (-8.0, 10.0)
"""Of a parameter's logarithm: where nobody leaves, or all alike, the likelihood rises for ever, and more changes nothing."""

SPENDERS = 100_000
"""From so many customers the spread of amounts is learnt: more move no parameter by a thousandth."""


@dataclass(frozen=True)
class Histories:
    """What the process knows of customers: arrays of one length, and how many customers each entry stands for."""

    repeats: np.ndarray
    """Purchases after the first."""
    last: np.ndarray
    """Time from the first purchase to the last; 0 without a repeat."""
    age: np.ndarray
    """Time from the first purchase until now."""
    weight: np.ndarray

    @classmethod
    def of(cls, repeats: np.ndarray, last: np.ndarray, age: np.ndarray) -> Self:
        """Take each customer as one."""
        x, t_x, t = (np.asarray(column, dtype=np.float64) for column in (repeats, last, age))
        return cls(x, t_x, t, np.ones(len(x)))

    def grouped(self) -> Self:
        """Count equal customers: the sufficient statistics."""
        kept, group = _distinct(self.repeats, self.last, self.age)
        return type(self)(self.repeats[kept], self.last[kept], self.age[kept], np.bincount(group, self.weight))


@dataclass(frozen=True)
class PurchaseProcess:
    """
    BG/NBD: rates are Gamma(r, alpha), chances to leave are Beta(a, b).

    All methods are vectorised over customers; their numbers do not depend on who else is asked about.
    """

    r: float
    alpha: float
    a: float
    b: float

    @classmethod
    def fit(cls, histories: Histories) -> Self:
        """Maximise the likelihood over logarithms of the parameters, with times in units of the mean age."""
        some = histories.grouped()
        unit = float(np.average(some.age, weights=some.weight)) or 1.0
        likelihood = _Likelihood(some.repeats, some.last / unit, some.age / unit, some.weight / some.weight.sum())
        r, alpha, a, b = _maximum(likelihood, np.zeros(4))
        return cls(r, alpha * unit, a, b)

    def log_likelihood(self, histories: Histories) -> float:
        """Return the logarithm of the likelihood of all customers."""
        likelihood = _Likelihood(histories.repeats, histories.last, histories.age, histories.weight)
        return likelihood(np.log([self.r, self.alpha, self.a, self.b]))[0]

    def p_alive(self, known: Histories) -> np.ndarray:
        """Return the chance that a customer has not left; 1 without a repeat: nobody leaves after the first purchase."""
        x = known.repeats
        waited = (self.r + x) * np.log((self.alpha + known.age) / (self.alpha + known.last))
        # A wait of centuries has an odd beyond all doubles: then the customer has left.
        odds = np.exp(np.minimum(np.log(self.a / (self.b + np.maximum(x, 1) - 1)) + waited, 700.0))
        return np.where(x > 0, 1 / (1 + odds), 1.0)

    def expected(self, known: Histories, until: float) -> np.ndarray:
        """
        Return how many purchases to expect from now until a time from now.

        Equals Fader, Hardie and Lee's equation (10), whose hypergeometric function is slow, and divides by zero at a = 1.
        """
        kept, group = _distinct(known.repeats, known.age)
        return self.p_alive(known) * self._if_alive(known.repeats[kept], known.age[kept], until)[group]

    def _if_alive(self, repeats: np.ndarray, age: np.ndarray, until: float) -> np.ndarray:
        """Average (1 - exp(-rate * leaving * until)) / leaving over what is known of a living customer's two numbers."""
        counts, of_count = np.unique(repeats, return_inverse=True)
        leaving, weights = _beta_quadrature(self.a, self.b + counts)
        total = np.zeros(len(repeats))
        shape, reach = self.r + repeats, until / (self.alpha + age)
        for node in range(NODES):
            p = leaving[of_count, node]
            total -= weights[of_count, node] * np.expm1(-shape * np.log1p(p * reach)) / p
        return total

    def draw(self, repeats: float, age: float, until: float, draws: np.random.Generator) -> np.ndarray:
        """Draw how many purchases a living customer makes: as many as come, but none after the one that is the last."""
        rate = draws.gamma(self.r + repeats, 1 / (self.alpha + age), DRAWS)
        leaving = np.maximum(draws.beta(self.a, self.b + repeats, DRAWS), np.finfo(float).tiny)
        return np.minimum(draws.poisson(rate * until), draws.geometric(leaving))

    def count_quantiles(self, known: Histories, until: float, levels: Sequence[float]) -> np.ndarray:
        """Return quantiles of the number of purchases itself, not of its mean: a row a customer, a column a level."""

        def drawn(x: float, t: float, draws: np.random.Generator) -> np.ndarray:
            return self.draw(x, t, until, draws)

        return np.ceil(self._quantiles(known, levels, drawn))

    def amount_quantiles(
        self, spend: Spend, known: Histories, mean: np.ndarray, *, until: float, levels: Sequence[float]
    ) -> np.ndarray:
        """
        Return quantiles of the sum of money itself: a row a customer, a column a level.

        A customer's own mean enters as a factor, so that one distribution serves all of a count and age.
        """

        def drawn(x: float, t: float, draws: np.random.Generator) -> np.ndarray:
            return spend.draw_sum(self.draw(x, t, until, draws), x + 1, draws)

        return spend.factor(known.repeats + 1, mean)[:, None] * self._quantiles(known, levels, drawn)

    def _quantiles(
        self,
        known: Histories,
        levels: Sequence[float],
        drawn: Callable[[float, float, np.random.Generator], np.ndarray],
    ) -> np.ndarray:
        """Mix what the living do with the nothing of those who have left. Lots are those of a count and age, whoever asks."""
        kept, group = _distinct(known.repeats, known.age)
        pairs = zip(known.repeats[kept].tolist(), known.age[kept].tolist(), strict=True)
        table = np.array([np.sort(drawn(x, t, _lots(x, t))) for x, t in pairs]).reshape(-1, DRAWS)
        alive = self.p_alive(known)
        found = np.zeros((len(group), len(levels)))
        for column, level in enumerate(levels):
            within = (level - (1 - alive)) / alive.clip(1e-300)
            place = within.clip(0, 1) * (DRAWS - 1)
            below = np.floor(place).astype(int)
            low, high = table[group, below], table[group, np.minimum(below + 1, DRAWS - 1)]
            found[:, column] = np.where(within > 0, low + (place - below) * (high - low), 0.0)
        return found


@dataclass(frozen=True)
class Spend:
    """Gamma-Gamma: an amount is Gamma(p, nu), and nu is Gamma(q, gamma) over customers; q > 1, so that means exist."""

    p: float
    q: float
    gamma: float

    @classmethod
    def fit(cls, purchases: np.ndarray, mean: np.ndarray) -> Self:
        """Maximise the likelihood of customers' mean amounts, where they are positive."""
        there = np.flatnonzero((purchases > 0) & (mean > 0))
        there = there[:: max(1, len(there) // SPENDERS)]
        unit = float(mean[there].mean())
        p, above, gamma = _maximum(_AmountLikelihood(purchases[there], mean[there] / unit), np.zeros(3))
        return cls(p, 1 + above, gamma * unit)

    def expected(self, purchases: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Return the mean of future amounts: a customer's own past one, drawn towards that of all."""
        return self.p * self.factor(purchases, mean) / (self.p * purchases + self.q - 1) / self.p

    def factor(self, purchases: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Return what scales a customer's future amounts."""
        return self.p * (self.gamma + purchases * mean)

    def draw_sum(self, counts: np.ndarray, purchases: float, draws: np.random.Generator) -> np.ndarray:
        """Draw the sum of so many amounts each of a customer with so many past purchases, over the customer's `factor`."""
        sums = draws.standard_gamma(self.p * np.maximum(counts, 1)) / self.p
        return np.where(counts > 0, sums, 0.0) / draws.standard_gamma(self.q + self.p * purchases, len(counts))


class _Likelihood:
    """The mean log-likelihood of BG/NBD and its gradient, by the logarithms of its parameters."""

    def __init__(self, repeats: np.ndarray, last: np.ndarray, age: np.ndarray, weight: np.ndarray) -> None:
        self._x, self._last, self._age, self._weight = repeats, last, age, weight
        # Gamma functions are wanted of few counts, logarithms of few times: once each, not once a customer.
        self._counts, of_count = np.unique(repeats, return_inverse=True)
        self._times, of_time = np.unique(np.concatenate([last, age]), return_inverse=True)
        self._of_last, self._of_age = of_time[: len(last)], of_time[len(last) :]
        self._of_count, self._by_count = of_count, np.bincount(of_count, weight)
        self._repeated = repeats > 0

    def __call__(self, logs: np.ndarray) -> tuple[float, np.ndarray]:
        from scipy.special import digamma, gammaln

        r, alpha, a, b = np.exp(logs)
        x, n, weight = self._counts, self._by_count, self._weight
        log_time, per_time = np.log(alpha + self._times), 1 / (alpha + self._times)
        log_age, log_last = log_time[self._of_age], log_time[self._of_last]
        shape = r + self._x
        left = np.log(a / (b + np.maximum(x, 1) - 1))[self._of_count] + shape * (log_age - log_last)
        small = np.exp(-np.abs(left))
        has_left = np.where(self._repeated, np.where(left >= 0, 1.0, small) / (1 + small), 0.0)
        either = np.where(self._repeated, np.maximum(left, 0) + np.log1p(small), 0.0)
        of_counts = gammaln(r + x) - gammaln(r) + gammaln(b + x) - gammaln(b) + gammaln(a + b) - gammaln(a + b + x)
        value = n @ (of_counts + r * logs[1]) + weight @ (either - shape * log_age)
        gone = weight * has_left
        gone_by_count = np.bincount(self._of_count, gone, len(x))
        together = n @ (digamma(a + b) - digamma(a + b + x))
        age_rate, last_rate = per_time[self._of_age], per_time[self._of_last]
        gradient = np.array(
            [
                n @ (digamma(r + x) - digamma(r) + logs[1]) - weight @ log_age + gone @ (log_age - log_last),
                n.sum() * r / alpha - weight @ (shape * age_rate) + gone @ (shape * (age_rate - last_rate)),
                together + gone.sum() / a,
                together + n @ (digamma(b + x) - digamma(b)) - gone_by_count @ (1 / (b + np.maximum(x, 1) - 1)),
            ]
        )
        return float(value), gradient * np.exp(logs)


class _AmountLikelihood:
    """The mean log-likelihood of Gamma-Gamma and its gradient, by the logarithms of p, q - 1 and gamma."""

    def __init__(self, purchases: np.ndarray, mean: np.ndarray) -> None:
        self._n, self._total, self._log_mean = purchases, purchases * mean, np.log(mean)

    def __call__(self, logs: np.ndarray) -> tuple[float, np.ndarray]:
        from scipy.special import digamma, gammaln

        p, above, gamma = np.exp(logs)
        q, n, total = 1 + above, self._n, self._total
        both, log_both = gamma + total, np.log(gamma + total)
        value = gammaln(p * n + q) - gammaln(p * n) - gammaln(q) + q * logs[2] - self._log_mean
        value = value + p * n * np.log(total) - (p * n + q) * log_both
        more = digamma(p * n + q)
        by_p = n * (more - digamma(p * n) + np.log(total) - log_both)
        by_q = more - digamma(q) + logs[2] - log_both
        by_gamma = q / gamma - (p * n + q) / both
        gradient = np.array([by_p.mean() * p, by_q.mean() * above, by_gamma.mean() * gamma])
        return float(value.mean()), gradient


def _maximum(likelihood: Callable[[np.ndarray], tuple[float, np.ndarray]], begin: np.ndarray) -> tuple[float, ...]:
    """Return the parameters at which a mean log-likelihood is largest."""
    from scipy.optimize import minimize

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = likelihood(logs)
        return -value, -gradient

    options = {"maxiter": 500, "ftol": 1e-14, "gtol": 1e-8}
    found = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=[LOG_BOUNDS] * len(begin), options=options)
    return tuple(np.exp(found.x).tolist())


def _beta_quadrature(a: float, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Return nodes in (0, 1) and weights of Gauss's quadrature for Beta(a, b), a row for each b.

    By the eigenvalues of the recurrence of Jacobi's polynomials (Golub and Welsch 1969), with weights that add up to 1:
    nothing overflows, however large b.
    """
    above, below = b[:, None] - 1, a - 1
    both, k = above + below, np.arange(1, NODES, dtype=np.float64)
    twice = 2 * k + both
    first, middle = (below - above) / (both + 2), both * (below - above) / (twice * (twice + 2))
    # Twice less one is at a + b = 1 nothing over nothing with the first k, where the two cancel.
    ratio = np.ones_like(twice)
    ratio[:, 1:] = (k[1:] + both) / (twice[:, 1:] - 1)
    beside = 4 * k * (k + above) * (k + below) * ratio / (twice**2 * (twice + 1))
    matrix = np.zeros((len(b), NODES, NODES))
    matrix[:, range(NODES), range(NODES)] = np.hstack([first, middle])
    matrix[:, range(1, NODES), range(NODES - 1)] = np.sqrt(beside)
    nodes, vectors = np.linalg.eigh(matrix)
    return np.clip((1 + nodes) / 2, 1e-15, 1.0), vectors[:, 0, :] ** 2


def _distinct(*columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the index of one of each set of equal rows, and for each row which set is its."""
    code = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        values, at = np.unique(column, return_inverse=True)
        code = code * len(values) + at
    _, kept, group = np.unique(code, return_index=True, return_inverse=True)
    return kept, group


def _lots(repeats: float, age: float) -> np.random.Generator:
    """Lots of a count and age, the same in whatever batch they come up."""
    return np.random.default_rng([SEED, *np.array([repeats, age]).view(np.uint32).tolist()])
