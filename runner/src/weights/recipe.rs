//! How one parameter is made of the tensors of a file, and back.

use super::adapt::Adapt;
use super::mapping::{Combine, Part};
use super::{Dtype, WeightError, WeightFault, WeightSet};
use std::borrow::Cow;

/// A tensor of a file, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name in the file.
    pub tensor: String,
    /// The part; all of it where `None`.
    pub part: Option<Part>,
}

/// One of several equal parts of what the sources give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Take {
    /// The axis that is divided.
    pub axis: usize,
    /// Which part, from 0.
    pub index: usize,
    /// How many parts there are.
    pub of: usize,
}

/// The steps from tensors of a file to one parameter, in the order of the fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// What is read, at least one.
    pub sources: Vec<Source>,
    /// How the sources become one tensor.
    pub combine: Combine,
    /// The order of its axes afterwards.
    pub transpose: Option<Vec<usize>>,
    /// Whether axes of size 1 come and go as the parameter wants.
    pub squeeze: bool,
    /// The part of it that the parameter is.
    pub take: Option<Take>,
    /// What makes it fit another size; known when it is compared with a parameter.
    pub adapt: Option<Adapt>,
}

/// A tensor as a checkpoint's file has it: its shape and its values, row-major.
pub type Unmade = (Vec<usize>, Vec<f32>);

impl Recipe {
    /// Whether the parameter is a tensor of the file as it stands, whatever it is called.
    pub fn is_plain(&self) -> bool {
        self.combine == Combine::One
            && self.sources[0].part.is_none()
            && self.transpose.is_none()
            && self.take.is_none()
            && self.adapt.is_none()
    }

    /// Shape and dtype of what the steps before `adapt` give, from the header alone.
    ///
    /// # Errors
    /// Tensors that do not go together, or axes that they do not have; a text for people.
    pub fn type_of(&self, weights: &WeightSet) -> Result<(Vec<usize>, Dtype), String> {
        let mut shapes = Vec::new();
        let mut dtype = None;
        for source in &self.sources {
            let view = weights.get(&source.tensor).ok_or_else(|| format!("`{}` is not there", source.tensor))?;
            let mut shape = view.shape.to_vec();
            if let Some(part) = source.part {
                let size = *shape.get(part.axis).ok_or_else(|| format!("`{}` has no axis {}", source.tensor, part.axis))?;
                let length = part.length.unwrap_or_else(|| size.saturating_sub(part.start));
                if part.start + length > size {
                    return Err(format!("axis {} of `{}` has {size} positions only", part.axis, source.tensor));
                }
                shape[part.axis] = length;
            }
            shapes.push(shape);
            if *dtype.get_or_insert(view.dtype) != view.dtype {
                return Err(format!("`{}` and `{}` differ in dtype", self.sources[0].tensor, source.tensor));
            }
        }
        let mut shape = shapes[0].clone();
        match self.combine {
            Combine::One => {}
            Combine::Sum => {
                if let Some(other) = shapes.iter().find(|other| **other != shape) {
                    return Err(format!("tensors of the shapes {shape:?} and {other:?} cannot be added"));
                }
            }
            Combine::Join(axis) => {
                for other in &shapes[1..] {
                    let joins = other.len() == shape.len()
                        && axis < shape.len()
                        && (0..shape.len()).all(|own| own == axis || other[own] == shape[own]);
                    if !joins {
                        return Err(format!("tensors of the shapes {shape:?} and {other:?} do not join along axis {axis}"));
                    }
                    shape[axis] += other[axis];
                }
            }
        }
        if let Some(axes) = &self.transpose {
            if axes.len() != shape.len() {
                return Err(format!("a tensor of the shape {shape:?} does not have {} axes", axes.len()));
            }
            shape = axes.iter().map(|axis| shape[*axis]).collect();
        }
        if let Some(take) = self.take {
            let size =
                *shape.get(take.axis).ok_or_else(|| format!("a tensor of the shape {shape:?} has no axis {}", take.axis))?;
            if size % take.of != 0 {
                return Err(format!("axis {} of size {size} does not divide into {} parts", take.axis, take.of));
            }
            shape[take.axis] = size / take.of;
        }
        Ok((shape, dtype.expect("a recipe has a source")))
    }

    /// The parameter's values; borrowed from the file where it holds them as they are.
    ///
    /// # Errors
    /// A value that is not finite, or a tensor of integers.
    pub fn read<'w>(&self, weights: &'w WeightSet) -> Result<Cow<'w, [f32]>, WeightError> {
        let view = |source: &Source| weights.get(&source.tensor).expect("a recipe's tensors are there");
        if self.is_plain() {
            return view(&self.sources[0]).to_f32();
        }
        let mut parts: Vec<(Vec<usize>, Cow<'w, [f32]>)> = Vec::new();
        for source in &self.sources {
            let view = view(source);
            let values = view.to_f32()?;
            parts.push(match source.part {
                None => (view.shape.to_vec(), values),
                Some(part) => {
                    let length = part.length.unwrap_or(view.shape[part.axis] - part.start);
                    let (shape, values) = slice(view.shape, &values, part.axis, part.start, length);
                    (shape, Cow::Owned(values))
                }
            });
        }
        let (mut shape, mut values) = match self.combine {
            Combine::One => parts.remove(0),
            Combine::Sum => {
                let (shape, first) = parts.remove(0);
                let mut sum = first.into_owned();
                for (_, part) in parts {
                    sum.iter_mut().zip(part.iter()).for_each(|(sum, value)| *sum += value);
                }
                (shape, Cow::Owned(sum))
            }
            Combine::Join(axis) => {
                let (shape, values) = join(&parts, axis);
                (shape, Cow::Owned(values))
            }
        };
        if let Some(axes) = &self.transpose {
            let (turned, moved) = transpose(&shape, &values, axes);
            (shape, values) = (turned, Cow::Owned(moved));
        }
        if let Some(take) = self.take {
            let length = shape[take.axis] / take.of;
            let (part, taken) = slice(&shape, &values, take.axis, take.index * length, length);
            (shape, values) = (part, Cow::Owned(taken));
        }
        if let Some(adapt) = &self.adapt {
            values = Cow::Owned(adapt.run(&shape, &values));
        }
        Ok(values)
    }

    /// What the parameter `values` of shape `shape` writes into the sources: values for each source's tensor (the whole, or the
    /// part), in the order of [`Recipe::sources`].
    ///
    /// Of a sum, the first source takes the change and the others stay as the original file has them. A recipe with `take` gives its
    /// part of the only source; see [`place`].
    ///
    /// # Errors
    /// An original that cannot be read.
    pub fn unmake(&self, weights: &WeightSet, shape: &[usize], values: &[f32]) -> Result<Vec<Unmade>, WeightError> {
        let view = |source: &Source| weights.get(&source.tensor).expect("a recipe's tensors are there");
        let (mut shape, mut values) = (shape.to_vec(), values.to_vec());
        if let Some(axes) = &self.transpose {
            let mut inverse = vec![0; axes.len()];
            axes.iter().enumerate().for_each(|(to, from)| inverse[*from] = to);
            (shape, values) = transpose(&shape, &values, &inverse);
        }
        Ok(match self.combine {
            Combine::One => {
                if self.squeeze {
                    shape = view(&self.sources[0]).shape.to_vec();
                }
                vec![(shape, values)]
            }
            Combine::Join(axis) => {
                let mut start = 0;
                let mut parts = Vec::new();
                for source in &self.sources {
                    let length = source.part.and_then(|part| part.length).unwrap_or_else(|| {
                        let size = view(source).shape[axis];
                        source.part.map_or(size, |part| if part.axis == axis { size - part.start } else { size })
                    });
                    parts.push(slice(&shape, &values, axis, start, length));
                    start += length;
                }
                parts
            }
            Combine::Sum => {
                let mut rest = vec![0.0f32; values.len()];
                let mut parts = Vec::new();
                for source in &self.sources[1..] {
                    let own = Recipe { sources: vec![source.clone()], combine: Combine::One, ..self.clone() };
                    let original = own.read(weights)?.into_owned();
                    rest.iter_mut().zip(&original).for_each(|(rest, value)| *rest += value);
                    parts.push((shape.clone(), original));
                }
                let first = values.iter().zip(&rest).map(|(value, rest)| value - rest).collect();
                parts.insert(0, (shape, first));
                parts
            }
        })
    }
}

/// Values of a recipe's source in the bytes of its dtype.
///
/// # Errors
/// A dtype of integers.
pub(super) fn encode(values: &[f32], dtype: Dtype, tensor: &str) -> Result<Vec<u8>, WeightFault> {
    Ok(match dtype {
        Dtype::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Dtype::F16 => values.iter().flat_map(|value| half::f16::from_f32(*value).to_le_bytes()).collect(),
        Dtype::BF16 => values.iter().flat_map(|value| half::bf16::from_f32(*value).to_le_bytes()).collect(),
        found => return Err(WeightFault::WrongDtype { tensor: tensor.into(), expected: Dtype::F32, found }),
    })
}

/// The sizes before, at and after an axis: `[outer, size, inner]`.
fn around(shape: &[usize], axis: usize) -> (usize, usize, usize) {
    (shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product())
}

/// Positions `start..start + length` of an axis.
pub(super) fn slice(shape: &[usize], values: &[f32], axis: usize, start: usize, length: usize) -> (Vec<usize>, Vec<f32>) {
    let (outer, size, inner) = around(shape, axis);
    let mut found = Vec::with_capacity(outer * length * inner);
    for row in 0..outer {
        let first = (row * size + start) * inner;
        found.extend_from_slice(&values[first..first + length * inner]);
    }
    let mut shape = shape.to_vec();
    shape[axis] = length;
    (shape, found)
}

/// Writes a part into positions `start..` of an axis.
pub(super) fn place(shape: &[usize], values: &mut [f32], axis: usize, start: usize, part: &[f32]) {
    let (outer, size, inner) = around(shape, axis);
    let chunk = part.len() / outer.max(1);
    for row in 0..outer {
        let first = (row * size + start) * inner;
        values[first..first + chunk].copy_from_slice(&part[row * chunk..(row + 1) * chunk]);
    }
}

fn join(parts: &[(Vec<usize>, Cow<'_, [f32]>)], axis: usize) -> (Vec<usize>, Vec<f32>) {
    let mut shape = parts[0].0.clone();
    shape[axis] = parts.iter().map(|(shape, _)| shape[axis]).sum();
    let mut values = vec![0.0; shape.iter().product()];
    let mut start = 0;
    for (own, part) in parts {
        place(&shape, &mut values, axis, start, part);
        start += own[axis];
    }
    (shape, values)
}

/// Axes in another order: axis `i` of the result is axis `axes[i]`.
fn transpose(shape: &[usize], values: &[f32], axes: &[usize]) -> (Vec<usize>, Vec<f32>) {
    let turned: Vec<usize> = axes.iter().map(|axis| shape[*axis]).collect();
    let mut strides = vec![1; shape.len()];
    for axis in (0..shape.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * shape[axis + 1];
    }
    let steps: Vec<usize> = axes.iter().map(|axis| strides[*axis]).collect();
    let mut position = vec![0; turned.len()];
    let mut moved = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        moved.push(values[position.iter().zip(&steps).map(|(at, step)| at * step).sum::<usize>()]);
        for axis in (0..turned.len()).rev() {
            position[axis] += 1;
            if position[axis] < turned[axis] {
                break;
            }
            position[axis] = 0;
        }
    }
    (turned, moved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_cut_and_put_back() {
        let values: Vec<f32> = (0..24).map(|value| value as f32).collect();
        let (shape, part) = slice(&[2, 3, 4], &values, 1, 1, 2);
        assert_eq!((shape.as_slice(), part[0], part[8]), (&[2, 2, 4][..], 4.0, 16.0));
        let mut whole = vec![0.0; 24];
        place(&[2, 3, 4], &mut whole, 1, 1, &part);
        assert_eq!(whole[..4], [0.0; 4]);
        assert_eq!(whole[4..12], values[4..12]);
        assert_eq!(whole[16..], values[16..]);
    }

    #[test]
    fn axes_are_turned_and_turned_back() {
        let values: Vec<f32> = (0..24).map(|value| value as f32).collect();
        let (shape, turned) = transpose(&[2, 3, 4], &values, &[2, 0, 1]);
        assert_eq!(shape, [4, 2, 3]);
        assert_eq!(turned[..4], [0.0, 4.0, 8.0, 12.0]);
        let (shape, back) = transpose(&shape, &turned, &[1, 2, 0]);
        assert_eq!((shape.as_slice(), back), (&[2, 3, 4][..], values));
    }
}
