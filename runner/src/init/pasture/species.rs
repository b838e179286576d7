//! What grows where: states, soils and mixtures, named as in the competition's tables.

/// A state with its soil.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct State {
    /// As in the column `State`.
    pub name: &'static str,
    /// How often it is visited, relative to the others.
    pub weight: u32,
    /// The soil's colour, sRGB.
    pub soil: [u8; 3],
}

/// The states.
pub const STATES: [State; 4] = [
    State { name: "Tas", weight: 39, soil: [92, 74, 56] },
    State { name: "Vic", weight: 31, soil: [108, 86, 62] },
    State { name: "NSW", weight: 21, soil: [124, 88, 62] },
    State { name: "WA", weight: 9, soil: [142, 112, 80] },
];

/// A mixture of species.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mixture {
    /// As in the column `Species`.
    pub name: &'static str,
    /// The states where it is found, as indices.
    pub states: &'static [usize],
    /// The usual mass of clover, relative; 0 where there is none.
    pub clover: f64,
    /// The usual mass of grass, relative.
    pub grass: f64,
    /// Half the width of a blade, in pixels of a photograph 512 wide.
    pub half_width: f64,
    /// The height at a given mass, relative.
    pub height: f64,
    /// How far the green leans from yellow (-1) to blue (1).
    pub hue: f64,
}

/// The mixtures.
pub const MIXTURES: [Mixture; 13] = [
    mixture("Ryegrass_Clover", &[0, 1], 1.0, 1.0, 1.4, 1.0, 0.1),
    mixture("Ryegrass", &[0, 1, 3], 0.0, 1.2, 1.4, 1.1, 0.2),
    mixture("Phalaris_Ryegrass_Clover", &[1], 0.8, 1.1, 1.8, 1.2, 0.3),
    mixture("Phalaris_Clover", &[1, 2], 0.7, 1.1, 2.1, 1.3, 0.4),
    mixture("Phalaris", &[2], 0.0, 1.2, 2.2, 1.5, 0.5),
    mixture("Fescue", &[0, 2], 0.0, 1.1, 1.1, 0.9, 0.0),
    mixture("Fescue_CrumbWeed", &[2], 0.0, 0.9, 1.2, 0.8, -0.2),
    mixture("Lucerne_Clover", &[2, 1], 0.6, 1.0, 1.7, 1.3, -0.1),
    mixture("WhiteClover", &[0, 1], 2.2, 0.3, 1.2, 0.6, 0.1),
    mixture("Clover", &[3, 0], 2.4, 0.25, 1.3, 0.6, 0.0),
    mixture("SubcloverDalkeith", &[3], 2.2, 0.3, 1.2, 0.5, -0.3),
    mixture("Barleygrass", &[2, 3, 1], 0.0, 0.9, 1.3, 0.9, -0.5),
    mixture("Mixed", &[0, 1, 2, 3], 0.9, 0.9, 1.6, 1.0, 0.0),
];

const fn mixture(
    name: &'static str,
    states: &'static [usize],
    clover: f64,
    grass: f64,
    half_width: f64,
    height: f64,
    hue: f64,
) -> Mixture {
    Mixture { name, states, clover, grass, half_width, height, hue }
}
