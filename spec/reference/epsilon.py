"""What rho and delta come to: the least epsilon that may be stated for them (spec FOLD-6). Floats, for comparison within what is borne."""

import math

RHO_BITS, DELTA_BITS, UNBOUNDED = 80, 100, 2**64 - 1


def delta_shown(patients_max):
    """The delta that epsilon is stated at, in units of 2^-100: one over ten times the declared maximum of patients, rounded down."""
    return 2**DELTA_BITS // 10 // max(patients_max, 1)


def epsilon(rho, delta):
    """Canonne, Kamath and Steinke 2020, proposition 12: the least over alpha, which falls and then rises in ln(alpha - 1)."""

    def at(log):
        below = math.exp(log)
        alpha = below + 1
        return alpha * rho + (alpha * math.log1p(-1 / alpha) - log - math.log(delta)) / below

    golden, low, high = (math.sqrt(5) - 1) / 2, math.log(0.01), 75.0
    for _ in range(110):
        step = golden * (high - low)
        if at(high - step) <= at(low + step):
            high = low + step
        else:
            low = high - step
    return max(min(at(low), at(high)), 0.0)


def least_stated(rho, delta, shown):
    """The least epsilon in millionths for rho and delta in their units, at the shown delta, in which the cost's own is contained."""
    left = shown - delta
    if rho >= 2**128 or (left <= 0 and (rho > 0 or left < 0)):
        return UNBOUNDED
    if rho == 0 or left >= 2**DELTA_BITS:
        return 0
    return math.floor(epsilon(rho / 2**RHO_BITS, left / 2**DELTA_BITS) * (1 - 1e-9) * 1e6)
