//! Batches: the tensors that a graph's inputs take, for some rows.

use rayon::prelude::*;
use sward_core::program::DType;
use sward_kernels::{Data, Tensor};

use super::cache::PictureCache;
use super::encode::{Encoded, EncodedField, Values};
use super::error::{FeedError, Result};
use crate::experiment::spec::Mix;
use crate::experiment::{DataFile, Field, FieldRole, GraphField, MIX_PARTNER, MIX_SHARE, TransformGraph};
use crate::pixels::batch::{Mixture, draw_cutmix, draw_mixup, mix_targets, mix_values, paste_regions};
use crate::pixels::{DrawKey, Draws, decode};
use crate::random::{Lane, Stream, purpose};

/// Draws of different fields begin this far apart.
const NODES_OF_A_FIELD: u32 = 1 << 16;

/// The tensors of one batch, by the graph's input names.
pub type Batch = Vec<(String, Tensor)>;

/// How the samples of a batch are mixed, and by which draws.
#[derive(Clone, Copy, Debug)]
pub struct MixSpec {
    /// How.
    pub mix: Mix,
    /// The step, over the whole run.
    pub step: u64,
}

/// Encoded rows and everything that makes batches of them.
pub struct Feed<'d> {
    data: &'d DataFile,
    inputs: &'d [GraphField],
    encoded: &'d Encoded,
    /// By the position of the field.
    photographs: Vec<Option<Photographs>>,
    seed: u64,
}

/// How the photographs of one field become numbers.
struct Photographs {
    /// What gives the same picture every time.
    fixed: TransformGraph,
    /// What follows it.
    rest: TransformGraph,
    /// The pictures between them.
    cache: PictureCache,
}

impl<'d> Feed<'d> {
    /// A feed for the inputs of a graph. `cache_bytes` bounds the memory of decoded photographs.
    pub fn new(data: &'d DataFile, inputs: &'d [GraphField], encoded: &'d Encoded, seed: u64, cache_bytes: usize) -> Feed<'d> {
        let count = data.fields.values().filter(|field| field.transform.is_some()).count().max(1);
        let photographs = |field: &Field| {
            let (fixed, rest) = field.transform.as_ref()?.split();
            Some(Photographs { fixed, rest, cache: PictureCache::new(encoded.rows, cache_bytes / count) })
        };
        Feed { data, inputs, encoded, photographs: data.fields.values().map(photographs).collect(), seed }
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.encoded.rows
    }

    /// The tensors of some rows. In `training`, transforms draw from (seed, epoch, row, step); a field that the table does not have (a
    /// target at prediction time) is zeros, observed nowhere.
    ///
    /// # Errors
    /// A photograph that cannot be read.
    pub fn batch(&self, rows: &[usize], epoch: u64, training: bool, mix: Option<MixSpec>) -> Result<Batch> {
        let mut batch: Batch = Vec::with_capacity(self.inputs.len());
        for input in self.inputs {
            batch.push((input.input.clone(), self.tensor(input, rows, epoch, training)?));
        }
        let inside = match mix {
            Some(mix) => self.mix(&mut batch, rows.len(), mix)?,
            None => None,
        };
        // A graph that mixes by itself finds every sample alone where nothing is mixed.
        let inside = inside.unwrap_or_else(|| Mixture { partner: (0..rows.len()).collect(), share: vec![1.0; rows.len()] });
        let partner = inside.partner.iter().map(|partner| *partner as i64).collect();
        batch.push((MIX_PARTNER.to_owned(), Tensor::new(&[rows.len()], Data::I64(partner))));
        batch.push((MIX_SHARE.to_owned(), Tensor::f32(&[rows.len()], inside.share)));
        Ok(batch)
    }

    fn tensor(&self, input: &GraphField, rows: &[usize], epoch: u64, training: bool) -> Result<Tensor> {
        let field = &self.data.fields[&input.field];
        let Some(own) = self.encoded.fields.get(&input.field) else { return Ok(absent(field, input.is_mask, rows.len())) };
        if input.is_mask {
            return Ok(mask(field, own, rows));
        }
        let shape = |own: &[usize]| [&[rows.len()], own].concat();
        Ok(match &own.values {
            Values::Floats(width, values) => {
                let data = rows.iter().flat_map(|row| &values[row * width..(row + 1) * width]).copied().collect();
                Tensor::f32(&shape(&field.shape), data)
            }
            Values::Whole(width, values) => {
                let data = rows.iter().flat_map(|row| &values[row * width..(row + 1) * width]).copied().collect();
                Tensor::new(&shape(&field.shape), Data::I64(data))
            }
            Values::Pictures(paths, cells) => {
                let index = self.data.fields.get_index_of(&input.field).unwrap_or(0);
                let Photographs { fixed, rest, cache } =
                    self.photographs[index].as_ref().expect("a picture field has a transform");
                let size: usize = field.shape.iter().product();
                let mut data = vec![0.0f32; rows.len() * size];
                data.par_chunks_mut(size).zip(rows).try_for_each(|(target, &row)| {
                    let key = DrawKey {
                        seed: self.seed,
                        epoch: epoch as u32,
                        sample: row as u32,
                        node: index as u32 * NODES_OF_A_FIELD,
                    };
                    let read = || decode(&paths[row], &fixed.decode).and_then(|picture| fixed.pictures(picture, key, false));
                    let after = key.at_node(key.node + fixed.steps.len() as u32);
                    let outcome = cache
                        .picture(row, || read().map(|mut pictures| pictures.remove(0)))
                        .and_then(|picture| rest.apply_into(picture, after, training, target));
                    outcome.map_err(|source| FeedError::Picture { place: cells[row].clone(), source: Box::new(source) })
                })?;
                Tensor::f32(&shape(&field.shape), data)
            }
        })
    }

    /// Mixes the batch's photographs and what losses compare with; for mixup the other numbers, too. Where a number has a mask, a mixed one
    /// is observed where both were. Categories and tokens stay the sample's own. Gives the mixture where features are left to the graph.
    fn mix(&self, batch: &mut Batch, count: usize, spec: MixSpec) -> Result<Option<Mixture>> {
        let lane = Lane { purpose: purpose::BATCH_MIX, outer: spec.step as u32, inner: (spec.step >> 32) as u32 };
        let mut draws = Draws::new(Stream::new(self.seed, lane));
        let told = |source| FeedError::Picture { place: "mixing a batch".to_owned(), source: Box::new(source) };
        let size = self.inputs.iter().find_map(|input| {
            let shape = &self.data.fields[&input.field].shape;
            let is_picture = self.data.fields[&input.field].transform.is_some();
            is_picture.then(|| (shape[shape.len() - 2], shape[shape.len() - 1]))
        });
        let (mixture, region): (Mixture, _) = match (spec.mix, size) {
            (Mix::CutMix { alpha }, Some(size)) => {
                let (mixture, region) = draw_cutmix(count, size, alpha, &mut draws).map_err(told)?;
                (mixture, Some((region, size)))
            }
            (Mix::Mixup { alpha } | Mix::Manifold { alpha } | Mix::CutMix { alpha }, _) => {
                (draw_mixup(count, alpha, &mut draws).map_err(told)?, None)
            }
        };
        let is_inside = matches!(spec.mix, Mix::Manifold { .. });
        for (position, input) in self.inputs.iter().enumerate() {
            let field = &self.data.fields[&input.field];
            if input.is_mask || field.dtype != DType::F32 || (is_inside && field.role == FieldRole::Feature) {
                continue;
            }
            let shape = batch[position].1.shape().to_vec();
            let values = batch[position].1.as_f32().expect("the field is f32").to_vec();
            let mask_position = self.inputs.iter().position(|other| other.is_mask && other.field == input.field);
            let is_compared = field.role != FieldRole::Feature;
            if field.transform.is_none() && (is_compared || (region.is_none() && mask_position.is_some())) {
                let flags: Vec<bool> = match mask_position {
                    Some(at) => batch[at].1.bytes().iter().map(|byte| *byte != 0).collect(),
                    None => vec![self.encoded.fields.contains_key(&input.field); values.len()],
                };
                // One flag may stand for several numbers, the sine and the cosine of a date.
                let numbers = values.len() / flags.len().max(1);
                let observed: Vec<bool> = (0..values.len()).map(|index| flags[index / numbers.max(1)]).collect();
                let (values, observed) = mix_targets(&values, &observed, count, &mixture).map_err(told)?;
                batch[position].1 = Tensor::f32(&shape, values);
                if let Some(at) = mask_position {
                    let shape = batch[at].1.shape().to_vec();
                    let flags = observed.into_iter().step_by(numbers.max(1)).map(u8::from).collect();
                    batch[at].1 = Tensor::new(&shape, Data::Bool(flags));
                }
            } else if let (Some((region, (height, width))), true) = (region, field.transform.is_some()) {
                let planes = shape[1..].iter().product::<usize>() / (height * width);
                let pasted = paste_regions(&values, (count, planes, height, width), region, &mixture.partner).map_err(told)?;
                batch[position].1 = Tensor::f32(&shape, pasted);
            } else if region.is_none() {
                batch[position].1 = Tensor::f32(&shape, mix_values(&values, count, &mixture).map_err(told)?);
            }
        }
        Ok(is_inside.then_some(mixture))
    }
}

fn mask(field: &Field, own: &EncodedField, rows: &[usize]) -> Tensor {
    let shape: Vec<usize> = [&[rows.len()], field.observed.as_deref().unwrap_or_default()].concat();
    let (width, observed) = own.observed.as_ref().expect("a field with a mask is encoded with one");
    let bytes = rows.iter().flat_map(|row| &observed[row * width..(row + 1) * width]).map(|flag| u8::from(*flag)).collect();
    Tensor::new(&shape, Data::Bool(bytes))
}

fn absent(field: &Field, is_mask: bool, count: usize) -> Tensor {
    if is_mask {
        let shape: Vec<usize> = [&[count], field.observed.as_deref().unwrap_or_default()].concat();
        let elements = shape.iter().product();
        return Tensor::new(&shape, Data::Bool(vec![0; elements]));
    }
    let shape: Vec<usize> = [&[count], field.shape.as_slice()].concat();
    let elements = shape.iter().product();
    match field.dtype {
        DType::I64 => Tensor::new(&shape, Data::I64(vec![0; elements])),
        _ => Tensor::f32(&shape, vec![0.0; elements]),
    }
}
