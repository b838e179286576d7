//! A `Transform` file: how a photograph becomes a tensor.

use serde::Deserialize;
use sward_core::source::Spanned;
use sward_core::syntax::decode::Raw;

use crate::pixels::{
    DecodeOptions, DrawKey, Normalize, Picture, Pipeline, Planes, Result, Shape, Step, Tiles, Transform as _, Views,
};

/// A `Transform` file as it is written; its steps are read once its params have values.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename = "Transform", deny_unknown_fields)]
pub struct TransformFile {
    /// What it is.
    #[serde(default)]
    pub doc: Option<String>,
    /// Declared params, as in modules.
    #[serde(default)]
    pub params: indexmap::IndexMap<Spanned<String>, Raw>,
    /// How files are read.
    #[serde(default)]
    pub decode: Option<Raw>,
    /// What is done.
    pub steps: Vec<Raw>,
}

/// One entry of `steps`.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A step on the picture.
    Always(Step),
    /// Steps on the picture that run in training only.
    Training(Vec<Step>),
    /// Several pictures of one.
    Tiles(Tiles),
    /// Several pictures of one.
    Views(Views),
    /// The last step.
    Normalize(Normalize),
}

/// The names that an item may have beside those of steps.
pub const ITEMS: &[&str] = &["Training", "Tiles", "Views", "Normalize"];

/// A transform whose shapes are proved.
#[derive(Clone, Debug, PartialEq)]
pub struct TransformGraph {
    /// How files are read.
    pub decode: DecodeOptions,
    /// Steps on the picture.
    pub steps: Vec<Item>,
    /// How the picture becomes several.
    pub parts: Parts,
    /// How pixels become numbers.
    pub normalize: Normalize,
    /// The shape of one resulting picture: channels, height, width.
    pub shape: (usize, usize, usize),
}

/// How a picture becomes several.
#[derive(Clone, Debug, PartialEq)]
pub enum Parts {
    /// Not at all.
    Whole,
    /// By a grid.
    Tiles(Tiles),
    /// By views.
    Views(Views),
}

impl Parts {
    /// How many pictures there are; `None` where it stays one without an axis of its own.
    pub fn count(&self) -> Option<usize> {
        match self {
            Parts::Whole => None,
            Parts::Tiles(tiles) => Some(tiles.count()),
            Parts::Views(views) => Some(views.count()),
        }
    }
}

/// Why a list of items is no transform: the position of the item, and the cause.
pub type ItemFault = (Option<usize>, String);

impl TransformGraph {
    /// Proves that the items follow each other.
    ///
    /// # Errors
    /// The first item that does not suit.
    pub fn new(decode: DecodeOptions, items: Vec<Item>) -> std::result::Result<TransformGraph, ItemFault> {
        let mut shape = Shape::any_size(decode.colours.channels());
        let mut graph = TransformGraph {
            decode,
            steps: Vec::new(),
            parts: Parts::Whole,
            normalize: Normalize::unit(),
            shape: (shape.channels, 0, 0),
        };
        let mut normalized = false;
        for (index, item) in items.into_iter().enumerate() {
            let fault = |cause: String| (Some(index), cause);
            let told = |error: crate::pixels::PixelError| (Some(index), error.to_string());
            if normalized {
                return Err(fault("nothing follows Normalize".to_owned()));
            }
            match item {
                Item::Normalize(normalize) => {
                    normalize.check(shape.channels).map_err(told)?;
                    graph.normalize = normalize;
                    normalized = true;
                }
                _ if graph.parts != Parts::Whole => {
                    return Err(fault("only Normalize follows Tiles or Views: steps on the picture stand before".to_owned()));
                }
                Item::Tiles(tiles) => {
                    shape = tiles.shape(shape).map_err(told)?;
                    graph.parts = Parts::Tiles(tiles);
                }
                Item::Views(views) => {
                    shape = views.shape(shape).map_err(told)?;
                    graph.parts = Parts::Views(views);
                }
                Item::Always(step) => {
                    shape = step.shape(shape).map_err(told)?;
                    graph.steps.push(Item::Always(step));
                }
                Item::Training(steps) => {
                    let after = Pipeline { steps: steps.clone() }.shape(shape).map_err(told)?;
                    if after != shape {
                        return Err(fault(format!(
                            "the steps in Training turn {shape} into {after}, so that training and prediction would see other shapes; put a step of the same size outside"
                        )));
                    }
                    graph.steps.push(Item::Training(steps));
                }
            }
        }
        let (Some(height), Some(width)) = (shape.height, shape.width) else {
            return Err((
                None,
                format!("the result is {shape}: end with a step that fixes the size, such as Resize or CenterCrop"),
            ));
        };
        graph.shape = (shape.channels, height, width);
        Ok(graph)
    }

    /// The shape of a sample: `[channels, height, width]`, or `[parts, channels, height, width]`.
    pub fn sample_shape(&self) -> Vec<usize> {
        let (channels, height, width) = self.shape;
        self.parts.count().into_iter().chain([channels, height, width]).collect()
    }

    /// Whether training sees other pixels than prediction does.
    pub fn is_random(&self) -> bool {
        self.steps.iter().any(|item| matches!(item, Item::Training(_)))
    }

    /// Itself in two: the steps before the first that runs in training only, whose one picture is the same every time, and all that follows.
    pub fn split(&self) -> (TransformGraph, TransformGraph) {
        let first = self.steps.iter().position(|item| matches!(item, Item::Training(_))).unwrap_or(self.steps.len());
        let (fixed, rest) = self.steps.split_at(first);
        let fixed = TransformGraph { steps: fixed.to_vec(), parts: Parts::Whole, ..self.clone() };
        (fixed, TransformGraph { steps: rest.to_vec(), ..self.clone() })
    }

    /// The pictures of one sample. Random numbers come from `key`, whose node counts the steps; `training` runs the steps for training.
    ///
    /// # Errors
    /// A step that cannot do this picture (one smaller than a crop, say).
    pub fn pictures(&self, picture: Picture, key: DrawKey, training: bool) -> Result<Vec<Picture>> {
        let mut picture = picture;
        let mut node = key.node;
        for item in &self.steps {
            match item {
                Item::Always(step) => {
                    picture = step.apply(picture, &mut key.at_node(node).draws())?;
                    node += 1;
                }
                Item::Training(steps) => {
                    for step in steps {
                        if training {
                            picture = step.apply(picture, &mut key.at_node(node).draws())?;
                        }
                        node += 1;
                    }
                }
                Item::Tiles(_) | Item::Views(_) | Item::Normalize(_) => {}
            }
        }
        match &self.parts {
            Parts::Whole => Ok(vec![picture]),
            Parts::Tiles(tiles) => tiles.apply(&picture),
            Parts::Views(views) => views.apply(&picture),
        }
    }

    /// One sample's numbers, part by part, written into `target` of [`TransformGraph::sample_shape`]'s size.
    ///
    /// # Errors
    /// As [`TransformGraph::pictures`].
    pub fn apply_into(&self, picture: Picture, key: DrawKey, training: bool, target: &mut [f32]) -> Result<()> {
        let pictures = self.pictures(picture, key, training)?;
        let (channels, height, width) = self.shape;
        for (picture, part) in pictures.iter().zip(target.chunks_exact_mut(channels * height * width)) {
            self.normalize.apply_into(picture, part)?;
        }
        Ok(())
    }

    /// The pictures that a sample's numbers show, for contact sheets.
    ///
    /// # Errors
    /// Never for numbers of this graph.
    pub fn invert(&self, sample: &[f32]) -> Result<Vec<Picture>> {
        let (channels, height, width) = self.shape;
        sample
            .chunks_exact(channels * height * width)
            .map(|part| self.normalize.invert(&Planes::new(channels, height, width, part.to_vec())?))
            .collect()
    }
}
