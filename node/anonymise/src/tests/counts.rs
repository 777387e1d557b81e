//! Count tables: nothing under the floor leaves, and no linear program finds it out.

use super::random;
use crate::counts::{CountFault, Cube, Lines, Protected, Protection, Rounding, linear, protect};
use crate::seed::Seed;

const FLOOR: u64 = 11;

fn protection() -> Protection {
    Protection { floor: FLOOR, rounding: Rounding::None }
}

fn cube(dice: &mut crate::seed::Dice, dimensions: u64) -> Cube {
    let sizes: Vec<usize> = (0..dimensions).map(|_| 2 + dice.below(4) as usize).collect();
    let cells = sizes.iter().product();
    let counts =
        (0..cells).map(|_| if dice.below(4) == 0 { 0 } else { (dice.share().powi(3) * 120.0) as u64 }).collect();
    Cube::new(sizes, counts).unwrap()
}

// ANON-9 ANON-10
#[test]
fn no_small_count_leaves_and_none_is_found_out() {
    let mut hidden_beside = 0;
    for case in 0..120 {
        let mut dice = random::dice(case);
        let cube = cube(&mut dice, 1 + case % 3);
        let protected = protect(&cube, &protection(), &Seed([1; 32])).unwrap();
        let lines = Lines::of(&cube);
        for cell in 0..lines.cells() {
            assert!(!(1..FLOOR).contains(&protected.released(cell).unwrap_or(0)), "case {case}");
        }
        assert_eq!(linear(&cube, &protected, FLOOR).held, 0, "case {case}");
        hidden_beside += protected.complementary;
    }
    assert!(hidden_beside > 100, "{hidden_beside}");
}

#[test]
fn without_complementary_suppression_the_attack_finds_what_is_planted() {
    // One small cell in each table: its row's total gives it away.
    for small in 1..FLOOR {
        let cube = Cube::new(vec![3, 3], vec![small, 40, 50, 60, 70, 80, 90, 20, 30]).unwrap();
        let lines = Lines::of(&cube);
        let bare = Protected::of(&lines, |cell| cell == lines.cell(&[Some(0), Some(0)]));
        let found = linear(&cube, &bare, FLOOR);
        assert_eq!((found.held, found.of), (1, 1));
        let protected = protect(&cube, &protection(), &Seed([1; 32])).unwrap();
        assert!(protected.complementary >= 3, "a rectangle at least: {}", protected.complementary);
        assert_eq!(linear(&cube, &protected, FLOOR).held, 0);
    }
}

#[test]
fn rounding_keeps_to_multiples_and_percentages_come_from_released_values() {
    let cube = Cube::new(vec![2, 2], vec![13, 48, 77, 101]).unwrap();
    let lines = Lines::of(&cube);
    for rounding in [Rounding::Nearest(5), Rounding::Random(5)] {
        let protected = protect(&cube, &Protection { floor: FLOOR, rounding }, &Seed([9; 32])).unwrap();
        for cell in 0..lines.cells() {
            assert_eq!(protected.released(cell).unwrap() % 5, 0);
        }
    }
    let protected =
        protect(&cube, &Protection { floor: FLOOR, rounding: Rounding::Nearest(5) }, &Seed([9; 32])).unwrap();
    let (part, whole) = (lines.cell(&[Some(0), Some(0)]), lines.cell(&[None, None]));
    assert_eq!(protected.thousandths(part, whole), Some((15 * 1_000 + 120) / 240));
}

#[test]
fn a_protection_that_protects_nothing_is_refused() {
    let cube = Cube::new(vec![1], vec![5]).unwrap();
    for bad in [Protection { floor: 1, ..protection() }, Protection { floor: 11, rounding: Rounding::Nearest(0) }] {
        assert_eq!(protect(&cube, &bad, &Seed([1; 32])).err(), Some(CountFault::Protection));
    }
    assert!(Cube::new(vec![2], vec![5]).is_none());
    let lone = protect(&cube, &protection(), &Seed([1; 32])).unwrap();
    assert_eq!(lone.released(0), None, "a lone small count and its total are hidden");
}
