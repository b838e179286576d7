//! Transforms joined: chances, choices and pipelines.

use serde::{Deserialize, Serialize};

use super::draws::{DrawKey, Draws, check_probability};
use super::error::{Result, parameter, shape};
use super::picture::{Picture, Shape};
use super::{affine, blur, colour, crop, distort, erase, flip, hsv, overlay, resize};

/// A function from picture to picture whose result's shape is known beforehand.
pub trait Transform {
    /// The name in graph files and messages.
    fn name(&self) -> &'static str;

    /// The shape of the result for the shape of an input; refuses parameters out of range and shapes that do not suit.
    fn shape(&self, input: Shape) -> Result<Shape>;

    /// The result. Random numbers come from `draws` alone.
    fn apply(&self, picture: Picture, draws: &mut Draws) -> Result<Picture>;
}

macro_rules! steps {
    ($($(#[$doc:meta])* $variant:ident($path:path)),* $(,)?) => {
        /// Any picture transform, as data: what a transform graph lists.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub enum Step {
            $($(#[$doc])* $variant($path),)*
        }

        impl Transform for Step {
            fn name(&self) -> &'static str {
                match self {
                    $(Step::$variant(transform) => transform.name(),)*
                }
            }

            fn shape(&self, input: Shape) -> Result<Shape> {
                match self {
                    $(Step::$variant(transform) => transform.shape(input),)*
                }
            }

            fn apply(&self, picture: Picture, draws: &mut Draws) -> Result<Picture> {
                match self {
                    $(Step::$variant(transform) => transform.apply(picture, draws),)*
                }
            }
        }

        $(
            impl From<$path> for Step {
                fn from(transform: $path) -> Step {
                    Step::$variant(transform)
                }
            }
        )*

        impl Step {
            /// The names of all transforms, for suggestions and documentation.
            pub const NAMES: &[&str] = &[$(stringify!($variant)),*];
        }
    };
}

steps! {
    /// See [`resize::Resize`].
    Resize(resize::Resize),
    /// See [`resize::ResizeShorter`].
    ResizeShorter(resize::ResizeShorter),
    /// See [`crop::Crop`].
    Crop(crop::Crop),
    /// See [`crop::CenterCrop`].
    CenterCrop(crop::CenterCrop),
    /// See [`crop::RandomCrop`].
    RandomCrop(crop::RandomCrop),
    /// See [`crop::RandomResizedCrop`].
    RandomResizedCrop(crop::RandomResizedCrop),
    /// See [`flip::HorizontalFlip`].
    HorizontalFlip(flip::HorizontalFlip),
    /// See [`flip::VerticalFlip`].
    VerticalFlip(flip::VerticalFlip),
    /// See [`flip::Transpose`].
    Transpose(flip::Transpose),
    /// See [`flip::Rotate90`].
    Rotate90(flip::Rotate90),
    /// See [`flip::RandomRotate90`].
    RandomRotate90(flip::RandomRotate90),
    /// See [`affine::RandomAffine`].
    RandomAffine(affine::RandomAffine),
    /// See [`colour::Brightness`].
    Brightness(colour::Brightness),
    /// See [`colour::Contrast`].
    Contrast(colour::Contrast),
    /// See [`colour::Saturation`].
    Saturation(colour::Saturation),
    /// See [`colour::ColorJitter`].
    ColorJitter(colour::ColorJitter),
    /// See [`hsv::HueSaturationValue`].
    HueSaturationValue(hsv::HueSaturationValue),
    /// See [`blur::GaussianBlur`].
    GaussianBlur(blur::GaussianBlur),
    /// See [`blur::GaussianNoise`].
    GaussianNoise(blur::GaussianNoise),
    /// See [`distort::GridDistortion`].
    GridDistortion(distort::GridDistortion),
    /// See [`distort::ElasticTransform`].
    ElasticTransform(distort::ElasticTransform),
    /// See [`erase::CoarseDropout`].
    CoarseDropout(erase::CoarseDropout),
    /// See [`erase::RandomErasing`].
    RandomErasing(erase::RandomErasing),
    /// See [`overlay::Timestamp`].
    Timestamp(overlay::Timestamp),
    /// See [`overlay::LightSpot`].
    LightSpot(overlay::LightSpot),
    /// See [`Maybe`].
    Maybe(Maybe),
    /// See [`OneOf`].
    OneOf(OneOf),
    /// See [`Clean`].
    Clean(Clean),
}

/// Runs its steps with probability `p`, and leaves the picture alone otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maybe {
    /// Probability.
    pub p: f64,
    /// What is run, in order.
    pub steps: Vec<Step>,
}

/// Runs one of several steps, each with a chance that is proportional to its weight (albumentations' `OneOf`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneOf {
    /// The choices.
    pub steps: Vec<Step>,
    /// A weight for each choice; none means equal weights.
    #[serde(default)]
    pub weights: Vec<f64>,
}

/// Leaves the picture clean with probability `p`, and runs all its steps otherwise.
///
/// `Clean(p: 0.1, steps: [...])` around a whole augmentation lets the model see a tenth of the pictures as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clean {
    /// Probability that no step is run.
    pub p: f64,
    /// What is run otherwise, in order.
    pub steps: Vec<Step>,
}

fn chain_shape(steps: &[Step], input: Shape) -> Result<Shape> {
    steps.iter().try_fold(input, |shape, step| step.shape(shape))
}

fn chain_apply(steps: &[Step], picture: Picture, draws: &mut Draws) -> Result<Picture> {
    steps.iter().try_fold(picture, |picture, step| step.apply(picture, draws))
}

/// The shape of steps that may or may not run: both outcomes must have the same.
fn optional_shape(name: &'static str, p: f64, steps: &[Step], input: Shape) -> Result<Shape> {
    check_probability(name, "p", p)?;
    let output = chain_shape(steps, input)?;
    if output != input {
        return Err(shape(
            name,
            format!("its steps turn {input} into {output}, so the shape would depend on chance; move the resize or crop out"),
        ));
    }
    Ok(output)
}

impl Transform for Maybe {
    fn name(&self) -> &'static str {
        "Maybe"
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        optional_shape(self.name(), self.p, &self.steps, input)
    }

    fn apply(&self, picture: Picture, draws: &mut Draws) -> Result<Picture> {
        if draws.happens(self.p) { chain_apply(&self.steps, picture, draws) } else { Ok(picture) }
    }
}

impl Transform for Clean {
    fn name(&self) -> &'static str {
        "Clean"
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        optional_shape(self.name(), self.p, &self.steps, input)
    }

    fn apply(&self, picture: Picture, draws: &mut Draws) -> Result<Picture> {
        if draws.happens(self.p) { Ok(picture) } else { chain_apply(&self.steps, picture, draws) }
    }
}

impl OneOf {
    fn weight(&self, index: usize) -> f64 {
        if self.weights.is_empty() { 1.0 } else { self.weights[index] }
    }
}

impl Transform for OneOf {
    fn name(&self) -> &'static str {
        "OneOf"
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        if !self.weights.is_empty() && self.weights.len() != self.steps.len() {
            let expected = format!("as many as steps, {}", self.steps.len());
            return Err(parameter(self.name(), "weights", &self.weights, expected));
        }
        let sum: f64 = self.weights.iter().sum();
        let positive = self.weights.iter().all(|weight| *weight >= 0.0) && sum > 0.0 && sum.is_finite();
        if !self.weights.is_empty() && !positive {
            return Err(parameter(self.name(), "weights", &self.weights, "not negative, with a positive sum"));
        }
        let Some((first, rest)) = self.steps.split_first() else {
            return Err(parameter(self.name(), "steps", &self.steps, "at least one step"));
        };
        let output = first.shape(input)?;
        for step in rest {
            let other = step.shape(input)?;
            if other != output {
                return Err(shape(
                    self.name(),
                    format!(
                        "{} gives {output} but {} gives {other}: the shape would depend on chance",
                        first.name(),
                        step.name()
                    ),
                ));
            }
        }
        Ok(output)
    }

    fn apply(&self, picture: Picture, draws: &mut Draws) -> Result<Picture> {
        self.shape(picture.shape())?;
        let total: f64 = (0..self.steps.len()).map(|index| self.weight(index)).sum();
        let mut left = draws.uniform(0.0, total);
        let mut chosen = None;
        for (index, step) in self.steps.iter().enumerate().filter(|(index, _)| self.weight(*index) > 0.0) {
            chosen = Some(step);
            left -= self.weight(index);
            if left < 0.0 {
                break;
            }
        }
        match chosen {
            Some(step) => step.apply(picture, draws),
            None => Ok(picture),
        }
    }
}

/// Steps in order, each with random numbers of its own.
///
/// Step i draws from the key's node plus i, so that a change within one step leaves the numbers of the others alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// The steps.
    pub steps: Vec<Step>,
}

impl Pipeline {
    /// The shape of the result; refuses the first step that does not suit.
    pub fn shape(&self, input: Shape) -> Result<Shape> {
        chain_shape(&self.steps, input)
    }

    /// The result for one sample of one epoch.
    pub fn apply(&self, picture: Picture, key: DrawKey) -> Result<Picture> {
        let nodes = (0u32..).map(|index| key.at_node(key.node.wrapping_add(index)));
        self.steps.iter().zip(nodes).try_fold(picture, |picture, (step, key)| step.apply(picture, &mut key.draws()))
    }
}
