//! How wide noise is: the interval around a noised value that holds the exact one with a stated confidence.

/// A family of noise on the integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Discrete Laplace: the scale is its mean distance, nearly.
    Laplace,
    /// Discrete Gaussian: the scale is its standard deviation, nearly.
    Gaussian,
}

/// The noise of one value: a family and its scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// Which family.
    pub family: Family,
    /// Its parameter.
    pub scale: f64,
}

/// The widest scale whose probabilities are added up one by one.
const SUMMED_MAX: f64 = 2048.0;

impl Noise {
    /// Its standard deviation.
    pub fn deviation(&self) -> f64 {
        match self.family {
            Family::Laplace => {
                // Variance 2q / (1 - q)^2 with q = exp(-1 / scale).
                let q = (-1.0 / self.scale).exp();
                (2.0 * q).sqrt() / -(-1.0 / self.scale).exp_m1()
            }
            // Never above the scale, and below it by little from a scale of 1 on (Canonne, Kamath and Steinke 2020, corollary 9).
            Family::Gaussian => self.scale,
        }
    }

    /// The least whole distance that the noise keeps within with at least this confidence, a share between 0 and 1.
    pub fn half_width(&self, confidence: f64) -> f64 {
        match self.family {
            Family::Laplace => {
                // P(|Z| > t) = 2 q^(t + 1) / (1 + q).
                let q = (-1.0 / self.scale).exp();
                let share = (1.0 - confidence) * (1.0 + q) / 2.0;
                (-share.ln() * self.scale - 1.0).ceil().max(0.0)
            }
            Family::Gaussian if self.scale > SUMMED_MAX => (normal_two_sided(confidence) * self.scale + 0.5).ceil(),
            Family::Gaussian => summed_half_width(self.scale, confidence),
        }
    }
}

/// The discrete Gaussian's, from its probabilities: `exp(-x^2 / 2 scale^2)` over their sum.
fn summed_half_width(scale: f64, confidence: f64) -> f64 {
    let weight = |x: f64| (-(x / scale).powi(2) / 2.0).exp();
    let far = (40.0 * scale).ceil() + 1.0;
    let steps = || std::iter::successors(Some(1.0), |x| Some(x + 1.0)).take_while(|x| *x <= far);
    // The smallest first, so that none is lost.
    let total: f64 = 1.0 + 2.0 * steps().map(|x| weight(far + 1.0 - x)).sum::<f64>();
    let mut inside = 1.0;
    if inside >= confidence * total {
        return 0.0;
    }
    for x in steps() {
        inside += 2.0 * weight(x);
        if inside >= confidence * total {
            return x;
        }
    }
    far
}

/// The distance from the mean, in deviations, that a normal value keeps within with this confidence.
pub fn normal_two_sided(confidence: f64) -> f64 {
    // P(|Z| > z) by bisection; it falls as z rises.
    let (mut low, mut high) = (0.0, 40.0);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if 2.0 * normal_above(middle) > 1.0 - confidence {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// P(Z > z) of a normal value, for z at least 0: a series near the middle and a continued fraction in the tail (Abramowitz and
/// Stegun 26.2.11 and 26.2.14).
pub fn normal_above(z: f64) -> f64 {
    let density = (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt();
    if z < 3.0 {
        let mut term = z;
        let mut sum = z;
        let mut odd = 1.0;
        while term > sum * 1e-17 {
            odd += 2.0;
            term *= z * z / odd;
            sum += term;
        }
        return 0.5 - density * sum;
    }
    let fraction = (1..=80).rev().fold(z, |below, k| z + f64::from(k) / below);
    density / fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_of_the_normal_are_those_of_the_tables() {
        for (z, above) in [
            (0.0, 0.5),
            (1.0, 0.158_655_253_931_457),
            (1.959_963_984_540_054, 0.025),
            (2.999_999, 0.001_349_902_463_68),
            (3.0, 0.001_349_898_031_630_094_5),
            (6.0, 9.865_876_450_376_98e-10),
        ] {
            let found = normal_above(z);
            assert!((found / above - 1.0).abs() < 1e-9, "{z}: {found} is not {above}");
        }
        assert!((normal_two_sided(0.95) - 1.959_963_984_54).abs() < 1e-9);
    }

    // PRIV-8
    #[test]
    fn the_half_width_is_the_least_that_holds_the_confidence() {
        for scale in [0.2, 0.7, 1.0, 3.3, 50.0, 900.0] {
            for confidence in [0.5, 0.9, 0.95, 0.99, 0.999_999] {
                for family in [Family::Laplace, Family::Gaussian] {
                    let width = Noise { family, scale }.half_width(confidence);
                    let weight = |x: f64| match family {
                        Family::Laplace => (-x.abs() / scale).exp(),
                        Family::Gaussian => (-(x / scale).powi(2) / 2.0).exp(),
                    };
                    let sum = |limit: f64| {
                        let mut sum = weight(0.0);
                        let mut x = 1.0;
                        while x <= limit {
                            sum += 2.0 * weight(x);
                            x += 1.0;
                        }
                        sum
                    };
                    let total = sum(60.0 * scale + 60.0);
                    assert!(sum(width) / total >= confidence - 1e-12, "{family:?} {scale} {confidence}");
                    assert!(
                        width == 0.0 || sum(width - 1.0) / total < confidence + 1e-12,
                        "{family:?} {scale} {confidence}"
                    );
                }
            }
        }
    }

    #[test]
    fn widths_at_the_border_of_summing_agree() {
        let narrow = Noise { family: Family::Gaussian, scale: SUMMED_MAX }.half_width(0.95);
        let wide = Noise { family: Family::Gaussian, scale: SUMMED_MAX * 1.000_001 }.half_width(0.95);
        assert!((wide - narrow).abs() <= 1.0, "{narrow} {wide}");
    }
}
