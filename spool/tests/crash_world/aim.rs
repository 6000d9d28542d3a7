//! When the next kill has to come to fall where too few did.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The parts of a life, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Creation,
    Adoption,
    Later,
}

impl Part {
    const ALL: [Self; 3] = [Self::Creation, Self::Adoption, Self::Later];

    /// How many of a hundred kills shall fall into it.
    pub fn wanted(self) -> u64 {
        match self {
            Self::Creation | Self::Adoption => 25,
            Self::Later => 50,
        }
    }

    pub fn of(phase: &str) -> Self {
        match phase {
            "in creation" | "before anything was done" => Self::Creation,
            "in adoption" => Self::Adoption,
            _ => Self::Later,
        }
    }
}

/// Where kills fell, and when the next one has to come to fall where too few did: how long a part lasts depends on the
/// machine and on what else it does.
pub struct Aim {
    phases: BTreeMap<&'static str, u64>,
    lives: u64,
    /// By part: a kill that is aimed at it comes at most so long behind the child's first word.
    within: [Duration; 3],
}

impl Aim {
    const LONGEST: Duration = Duration::from_millis(200);
    const SHORTEST: Duration = Duration::from_micros(20);

    pub fn new() -> Self {
        let within = [Duration::from_micros(700), Duration::from_millis(6), Duration::from_millis(80)];
        Self { phases: BTreeMap::new(), lives: 0, within }
    }

    pub fn kills(&self) -> u64 {
        self.phases.values().sum()
    }

    pub fn kills_in(&self, part: Part) -> u64 {
        self.phases.iter().filter(|(phase, _)| Part::of(phase) == part).map(|(_, kills)| kills).sum()
    }

    /// The part with the fewest kills for what it should have, and a delay that may hit it.
    pub fn next(&self, rng: &mut fastrand::Rng) -> (Part, Duration) {
        let target = Part::ALL.into_iter().min_by_key(|part| self.kills_in(*part) * 100 / part.wanted());
        let target = target.expect("there are parts");
        (target, self.within[target as usize].mul_f64(rng.f64()))
    }

    /// Learns from a kill, or from a life that had ended before it came.
    pub fn fell(&mut self, target: Part, phase: Option<&'static str>) {
        self.lives += 1;
        let within = &mut self.within[target as usize];
        let factor = match phase.map(|phase| Part::of(phase).cmp(&target)) {
            Some(Ordering::Less) => 1.1,
            Some(Ordering::Equal) => 1.0,
            Some(Ordering::Greater) | None => 0.9,
        };
        *within = within.mul_f64(factor).clamp(Self::SHORTEST, Self::LONGEST);
        if let Some(phase) = phase {
            *self.phases.entry(phase).or_default() += 1;
        }
    }

    /// Half of the kills are asked for, and the last ones may have missed. Creation is over so soon that a busy machine lets few
    /// kills come in time.
    pub fn judge(&self, seed: u64) {
        let (kills, creation, adoption) = (self.kills(), self.kills_in(Part::Creation), self.kills_in(Part::Adoption));
        assert!((creation + adoption) * 100 >= kills * 45, "seed {seed}: too few kills fell into a start: {self}");
        assert!(creation.min(adoption) * 100 >= kills * 5, "seed {seed}: one part of the start was spared: {self}");
    }
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} kills in {} lives: {:?}", self.kills(), self.lives, self.phases)
    }
}
