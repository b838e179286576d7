//! The templates, embedded in the binary from `examples/`.

use include_dir::{Dir, include_dir};

use super::{Drawing, InitError, NewFile, pasture::Pasture, textures::Textures};

static EXAMPLES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../examples");

/// What pictures are composed of, and not part of a new project.
const PHOTOGRAPHS: &str = "photographs";

/// The seed that is taken where none is stated.
const SEED: u64 = 42;

/// What a new project starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Template {
    /// 1,797 handwritten digits, classified: the smallest project, and the fastest
    Digits,
    /// Photographs composed of grass, gravel and brick; their shares are regressed
    Textures,
    /// Drawn photographs of pasture with the tables of a biomass survey; five masses are regressed
    Pasture,
}

impl Template {
    /// The name on the command line, and of the folder in `examples/`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Digits => "digits",
            Self::Textures => "textures",
            Self::Pasture => "pasture",
        }
    }

    /// The files that every project of this template has, sorted by path.
    pub fn files(self) -> Vec<NewFile> {
        let mut files = Vec::new();
        if let Some(folder) = EXAMPLES.get_dir(self.name()) {
            collect(folder, self.name(), &mut files);
        }
        files.sort_by(|one, other| one.path.cmp(&other.path));
        files
    }

    /// A photograph that pictures of this template are composed of; empty where there is no such file.
    pub(super) fn photograph(self, name: &str) -> &'static [u8] {
        let path = format!("{}/{PHOTOGRAPHS}/{name}", self.name());
        EXAMPLES.get_file(path).map_or(&[], |file| file.contents())
    }

    /// The data that is drawn for a new project; `None` where all of it is among the template's files.
    ///
    /// # Errors
    /// An option that the template does not take, or a number of samples out of its range.
    pub fn drawing(self, samples: Option<usize>, seed: Option<u64>) -> Result<Option<Box<dyn Drawing>>, InitError> {
        let (fewest, own) = match self {
            Self::Digits => {
                let unused = [("--samples", samples.is_some()), ("--seed", seed.is_some())];
                return match unused.iter().find(|(_, is_stated)| *is_stated) {
                    Some((option, _)) => {
                        let reason = "digits is a fixed set of 1,797 rows, and nothing of it is drawn";
                        Err(InitError::Option(format!("{option} does not apply: {reason}")))
                    }
                    None => Ok(None),
                };
            }
            Self::Textures => (Textures::FEWEST, Textures::SAMPLES),
            Self::Pasture => (Pasture::FEWEST, Pasture::SAMPLES),
        };
        let samples = samples.unwrap_or(own);
        if !(fewest..=MOST).contains(&samples) {
            let name = self.name();
            return Err(InitError::Option(format!("--samples is {samples}: {name} takes {fewest} to {MOST}")));
        }
        let seed = seed.unwrap_or(SEED);
        Ok(Some(match self {
            Self::Textures => Box::new(Textures::new(samples, seed)?),
            Self::Digits | Self::Pasture => Box::new(Pasture::new(samples, seed)),
        }))
    }
}

/// The most pictures that are drawn.
const MOST: usize = 100_000;

fn collect(folder: &'static Dir<'static>, root: &str, files: &mut Vec<NewFile>) {
    for file in folder.files() {
        let path = file.path().to_string_lossy().replace('\\', "/");
        if let Some(path) = path.strip_prefix(root).and_then(|path| path.strip_prefix('/')) {
            files.push(NewFile { path: path.to_owned(), bytes: file.contents().to_vec() });
        }
    }
    for inner in folder.dirs().filter(|inner| !inner.path().ends_with(PHOTOGRAPHS)) {
        collect(inner, root, files);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_has_a_readme_and_leaves_its_photographs_out() {
        for template in [Template::Digits, Template::Textures, Template::Pasture] {
            let files = template.files();
            assert!(files.iter().any(|file| file.path == "README.md"), "{template:?}");
            assert!(files.iter().all(|file| !file.path.contains(PHOTOGRAPHS)), "{template:?}");
        }
    }

    #[test]
    fn the_digits_are_all_there_and_the_last_360_are_held_out() {
        let files = Template::Digits.files();
        let table = files.iter().find(|file| file.path == "data/digits.csv").unwrap();
        let text = std::str::from_utf8(&table.bytes).unwrap();
        let rows: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(rows.len(), 1797);
        assert!(rows.iter().enumerate().all(|(at, row)| row.starts_with("holdout,") == (at >= 1797 - 360)));
        assert!(rows.iter().all(|row| row.split(',').skip(2).filter(|cell| cell.parse::<u8>().unwrap() <= 16).count() == 64));
    }

    #[test]
    fn options_that_do_not_apply_are_refused() {
        for (samples, seed) in [(Some(9), None), (None, Some(1))] {
            assert!(Template::Digits.drawing(samples, seed).is_err());
        }
        for samples in [0, Textures::FEWEST - 1, MOST + 1] {
            assert!(Template::Textures.drawing(Some(samples), None).is_err());
        }
        assert!(Template::Pasture.drawing(Some(Pasture::FEWEST), None).unwrap().is_some());
    }
}
