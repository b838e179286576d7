//! Mixing the samples of a batch: mixup and CutMix, with labels that may be missing.

use super::draws::Draws;
use super::error::{Result, parameter, shape};
use super::picture::Region;

/// How the samples of a batch are mixed: sample i takes `share[i]` of itself and the rest of sample `partner[i]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    /// The other sample of each.
    pub partner: Vec<usize>,
    /// The share of the sample itself, 0 to 1.
    pub share: Vec<f32>,
}

impl Mixture {
    fn check(&self, name: &'static str, batch: usize) -> Result<()> {
        if self.partner.len() != batch || self.share.len() != batch {
            return Err(shape(name, format!("a mixture of {} samples does not suit a batch of {batch}", self.partner.len())));
        }
        if let Some(partner) = self.partner.iter().find(|&&partner| partner >= batch) {
            return Err(parameter(name, "partner", partner, format!("below the batch's size, {batch}")));
        }
        if let Some(share) = self.share.iter().find(|share| !(0.0..=1.0).contains(*share)) {
            return Err(parameter(name, "share", share, "between 0 and 1"));
        }
        Ok(())
    }
}

/// Draws partners and one share for the whole batch, from the beta distribution with both parameters `alpha` (Zhang et al., 2018).
pub fn draw_mixup(batch: usize, alpha: f64, draws: &mut Draws) -> Result<Mixture> {
    if !(alpha > 0.0 && alpha.is_finite()) {
        return Err(parameter("mixup", "alpha", alpha, "positive"));
    }
    let share = draws.beta(alpha) as f32;
    Ok(Mixture { partner: draws.permutation(batch), share: vec![share; batch] })
}

/// Draws partners, a rectangle and the shares that its area leaves (Yun et al., 2019; torchvision's `CutMix`).
pub fn draw_cutmix(batch: usize, (height, width): (usize, usize), alpha: f64, draws: &mut Draws) -> Result<(Mixture, Region)> {
    if !(alpha > 0.0 && alpha.is_finite()) {
        return Err(parameter("CutMix", "alpha", alpha, "positive"));
    }
    let half = 0.5 * (1.0 - draws.beta(alpha)).sqrt();
    let mut span = |size: usize| {
        let centre = draws.below(size) as f64;
        let start = (centre - half * size as f64).max(0.0) as usize;
        let end = ((centre + half * size as f64) as usize).min(size);
        (start, end.saturating_sub(start))
    };
    let ((left, region_width), (top, region_height)) = (span(width), span(height));
    let share = 1.0 - (region_width * region_height) as f64 / (width * height) as f64;
    let mixture = Mixture { partner: draws.permutation(batch), share: vec![share as f32; batch] };
    Ok((mixture, Region { top, left, height: region_height, width: region_width }))
}

/// Mixes rows of values: `share * own + (1 - share) * partner's`. The rows are a batch's images, features or one-hot labels.
pub fn mix_values(values: &[f32], batch: usize, mixture: &Mixture) -> Result<Vec<f32>> {
    mixture.check("mixup", batch)?;
    let length = row_length("mixup", values.len(), batch)?;
    let mut mixed = Vec::with_capacity(values.len());
    for ((own, &partner), &share) in values.chunks_exact(length.max(1)).zip(&mixture.partner).zip(&mixture.share) {
        let other = &values[partner * length..(partner + 1) * length];
        mixed.extend(own.iter().zip(other).map(|(own, other)| share * own + (1.0 - share) * other));
    }
    Ok(mixed)
}

/// Pastes a rectangle of each partner's image (batch, channels, height, width) over the sample's own.
pub fn paste_regions(
    images: &[f32],
    (batch, channels, height, width): (usize, usize, usize, usize),
    region: Region,
    partner: &[usize],
) -> Result<Vec<f32>> {
    let length = channels * height * width;
    if images.len() != batch * length || partner.len() != batch || partner.iter().any(|&partner| partner >= batch) {
        return Err(shape(
            "CutMix",
            format!("{} values with {} partners are not ({batch}, {channels}, {height}, {width})", images.len(), partner.len()),
        ));
    }
    if region.top + region.height > height || region.left + region.width > width {
        return Err(shape("CutMix", format!("{region:?} does not lie inside {height} x {width}")));
    }
    let mut mixed = images.to_vec();
    for (target, &partner) in mixed.chunks_exact_mut(length.max(1)).zip(partner) {
        let other = &images[partner * length..(partner + 1) * length];
        for plane in 0..channels {
            for row in region.top..region.top + region.height {
                let start = (plane * height + row) * width + region.left;
                target[start..start + region.width].copy_from_slice(&other[start..start + region.width]);
            }
        }
    }
    Ok(mixed)
}

/// Mixes targets and their masks: a mixed target counts only where both labels were observed.
///
/// A sample that takes nothing of its partner (share 1) keeps its own mask, and one that takes nothing of itself its partner's. Values
/// behind a mask are never read, so that a NaN there cannot spread.
pub fn mix_targets(targets: &[f32], observed: &[bool], batch: usize, mixture: &Mixture) -> Result<(Vec<f32>, Vec<bool>)> {
    mixture.check("mixup", batch)?;
    if targets.len() != observed.len() {
        return Err(shape("mixup", format!("{} targets with {} masks", targets.len(), observed.len())));
    }
    let length = row_length("mixup", targets.len(), batch)?;
    let mut mixed = vec![0.0; targets.len()];
    let mut mask = vec![false; targets.len()];
    for sample in 0..batch {
        let (partner, share) = (mixture.partner[sample], mixture.share[sample]);
        for column in 0..length {
            let (own, other) = (sample * length + column, partner * length + column);
            let (takes_own, takes_other) = (share > 0.0, share < 1.0);
            if (takes_own && !observed[own]) || (takes_other && !observed[other]) {
                continue;
            }
            mask[own] = true;
            let part = |taken: bool, weight: f32, index: usize| {
                if taken { weight * targets[index] } else { 0.0 }
            };
            mixed[own] = part(takes_own, share, own) + part(takes_other, 1.0 - share, other);
        }
    }
    Ok((mixed, mask))
}

fn row_length(name: &'static str, values: usize, batch: usize) -> Result<usize> {
    if batch == 0 || !values.is_multiple_of(batch) {
        return Err(shape(name, format!("{values} values are not a batch of {batch} equal rows")));
    }
    Ok(values / batch)
}

#[cfg(test)]
mod tests {
    use super::super::draws::DrawKey;
    use super::*;

    fn draws() -> Draws {
        DrawKey { seed: 7, epoch: 0, sample: 0, node: 0 }.draws()
    }

    #[test]
    fn mixup_weighs_by_the_share_and_joins_masks() {
        let mixture = Mixture { partner: vec![1, 0], share: vec![0.25, 0.25] };
        assert_eq!(mix_values(&[4.0, 8.0, 0.0, 4.0], 2, &mixture).unwrap(), [1.0, 5.0, 3.0, 7.0]);
        let targets = [4.0, f32::NAN, 8.0, 2.0];
        let (mixed, observed) = mix_targets(&targets, &[true, false, true, true], 2, &mixture).unwrap();
        assert_eq!(mixed, [7.0, 0.0, 5.0, 0.0]);
        assert_eq!(observed, [true, false, true, false]);
    }

    #[test]
    fn a_share_of_one_keeps_the_sample_and_its_mask() {
        let mixture = Mixture { partner: vec![1, 0], share: vec![1.0, 0.0] };
        let (mixed, observed) = mix_targets(&[4.0, f32::NAN], &[true, false], 2, &mixture).unwrap();
        assert_eq!((mixed, observed), (vec![4.0, 4.0], vec![true, true]));
    }

    #[test]
    fn cutmix_pastes_exactly_the_share_that_it_states() {
        let (height, width) = (13, 17);
        let mut draws = draws();
        for _ in 0..200 {
            let (mixture, region) = draw_cutmix(2, (height, width), 1.0, &mut draws).unwrap();
            let mut images = vec![0.0; 2 * 3 * height * width];
            images[3 * height * width..].fill(1.0);
            let mixed = paste_regions(&images, (2, 3, height, width), region, &[1, 0]).unwrap();
            let own = mixed[..3 * height * width].iter().filter(|&&value| value == 0.0).count();
            let share = own as f32 / (3 * height * width) as f32;
            assert!((share - mixture.share[0]).abs() < 1e-6, "{share} against {}", mixture.share[0]);
        }
    }

    #[test]
    fn a_partner_outside_the_batch_is_refused() {
        let mixture = Mixture { partner: vec![2, 0], share: vec![0.5, 0.5] };
        let message = mix_values(&[0.0; 4], 2, &mixture).unwrap_err().to_string();
        assert_eq!(message, "mixup: partner is 2, but it must be below the batch's size, 2");
    }
}
