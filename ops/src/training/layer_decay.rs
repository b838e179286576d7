//! Learning rates that shrink towards the input of a backbone (layer-wise decay: Clark et al., 2020; Bao et al., 2022).

/// A learning rate that shrinks from block to block, by the names of parameters.
///
/// The pattern names the blocks by the place of their numbers: `backbone.blocks.{}`, `backbone.stages.{}.blocks.{}`. Of `depth` blocks
/// in the order of the graph, block `index` has the factor `decay^(depth - index)`. What stands below the same node before the first
/// block (patch embedding, positions, stem) has `decay^(depth + 1)`; what stands between two blocks, the factor of the block after it;
/// what comes after the last block (final norm), 1. Parameters elsewhere in the graph have 1.
#[derive(Clone, PartialEq, Debug)]
pub struct LayerDecay {
    /// A path with `{}` in place of numbers.
    pub pattern: String,
    /// The factor from one block to the next, above 0 and at most 1.
    pub decay: f64,
}

/// Why a decay does not apply.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum LayerDecayError {
    /// The pattern has no `{}`.
    #[error("the layer decay `{0}` has no {{}} in place of the blocks' numbers: write blocks.{{}}")]
    NoPlace(String),
    /// The pattern names no parameter.
    #[error("the layer decay `{0}` names no parameter")]
    NoBlocks(String),
    /// A decay that is not above 0 and at most 1.
    #[error("a layer decay is above 0 and at most 1, not {0}")]
    Factor(f64),
}

impl LayerDecay {
    /// The factors of parameters, given in the order of the graph.
    ///
    /// ```
    /// use sward_ops::training::LayerDecay;
    /// let decay = LayerDecay { pattern: "vit.blocks.{}".into(), decay: 0.5 };
    /// let names = ["vit.cls_token", "vit.blocks.0.fc.weight", "vit.blocks.1.fc.weight", "vit.norm.weight", "head.weight"];
    /// assert_eq!(decay.scales(&names)?, [0.125, 0.25, 0.5, 1.0, 1.0]);
    /// # Ok::<(), sward_ops::training::LayerDecayError>(())
    /// ```
    ///
    /// # Errors
    /// A pattern without `{}` or that names no parameter, a factor outside of 0 to 1.
    pub fn scales<N: AsRef<str>>(&self, names: &[N]) -> Result<Vec<f64>, LayerDecayError> {
        if !(self.decay > 0.0 && self.decay <= 1.0) {
            return Err(LayerDecayError::Factor(self.decay));
        }
        let parts: Vec<&str> = self.pattern.split('.').collect();
        let Some(place) = parts.iter().position(|part| *part == "{}") else {
            return Err(LayerDecayError::NoPlace(self.pattern.clone()));
        };
        // The node that the blocks and what surrounds them are below.
        let root = parts[..place.saturating_sub(1)].join(".");
        let is_below = |name: &str| root.is_empty() || name.strip_prefix(&root).is_some_and(|rest| rest.starts_with('.'));
        let mut blocks: Vec<Vec<&str>> = Vec::new();
        let layers: Vec<Option<usize>> = names
            .iter()
            .map(|name| {
                let numbers = numbers(&parts, name.as_ref())?;
                Some(blocks.iter().position(|known| *known == numbers).unwrap_or_else(|| {
                    blocks.push(numbers);
                    blocks.len() - 1
                }))
            })
            .collect();
        let depth = blocks.len();
        if depth == 0 {
            return Err(LayerDecayError::NoBlocks(self.pattern.clone()));
        }
        let first = layers.iter().position(Option::is_some).unwrap_or(0);
        let mut scales = vec![1.0; names.len()];
        let mut next = depth;
        for (position, name) in names.iter().enumerate().rev() {
            if let Some(layer) = layers[position] {
                next = layer;
            }
            let exponent = match layers[position] {
                Some(layer) => depth - layer,
                None if !is_below(name.as_ref()) => 0,
                None if position < first => depth + 1,
                None => depth - next,
            };
            scales[position] = self.decay.powi(exponent as i32);
        }
        Ok(scales)
    }
}

/// The parts of a name that stand in the places of `{}`, where the pattern fits its beginning.
fn numbers<'n>(pattern: &[&str], name: &'n str) -> Option<Vec<&'n str>> {
    let mut parts = name.split('.');
    let mut found = Vec::new();
    for expected in pattern {
        let part = parts.next()?;
        if *expected == "{}" {
            found.push(part);
        } else if *expected != part {
            return None;
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decay(pattern: &str, decay: f64) -> LayerDecay {
        LayerDecay { pattern: pattern.into(), decay }
    }

    #[test]
    fn what_stands_between_blocks_goes_with_the_block_after_it() {
        let names = [
            "table.fc.weight",
            "net.stem.weight",
            "net.stages.0.blocks.0.w",
            "net.stages.1.downsample.w",
            "net.stages.1.blocks.0.w",
            "net.stages.1.blocks.1.w",
            "net.norm.weight",
            "head.weight",
        ];
        let scales = decay("net.stages.{}.blocks.{}", 0.5).scales(&names).unwrap();
        assert_eq!(scales, [1.0, 0.0625, 0.125, 0.25, 0.25, 0.5, 1.0, 1.0]);
    }

    #[test]
    fn patterns_and_factors_that_mean_nothing_are_refused() {
        let names = ["blocks.0.w"];
        assert_eq!(decay("blocks.0", 0.5).scales(&names), Err(LayerDecayError::NoPlace("blocks.0".into())));
        assert_eq!(decay("layers.{}", 0.5).scales(&names), Err(LayerDecayError::NoBlocks("layers.{}".into())));
        assert_eq!(decay("blocks.{}", 0.0).scales(&names), Err(LayerDecayError::Factor(0.0)));
        assert!(decay("blocks.{}", f64::NAN).scales(&names).is_err());
        assert_eq!(decay("blocks.{}", 1.0).scales(&names).unwrap(), [1.0]);
    }
}
