//! What a comparison of a file with a graph found, as text and as JSON.

use super::WeightSet;
use super::family::Family;
use super::load::LoadRequest;
use super::mapping::Combine;
use super::plan::{Load, LoadPlan};
use serde_json::{Value, json};
use std::fmt::Write;

/// The version of the JSON form.
const VERSION: u32 = 1;

/// How many names of one kind the text shows.
const SHOWN: usize = 12;

/// What a file gives a graph, and what does not fit.
#[derive(Debug, Clone)]
pub struct Report {
    /// The file.
    pub file: String,
    /// The path of the node that it fills; empty for the whole graph.
    pub within: String,
    /// How they go together.
    pub plan: LoadPlan,
    /// The library backbone that the file seems to be of.
    pub family: Option<Family>,
    tensors: usize,
    elements: u64,
}

impl Report {
    pub(super) fn new(request: &LoadRequest<'_>, weights: &WeightSet, plan: &LoadPlan, family: Option<Family>) -> Report {
        let elements = plan.loads.iter().map(|load| load.wanted.shape.iter().product::<usize>() as u64).sum();
        Report {
            file: request.file.display().to_string(),
            within: request.within.to_owned(),
            plan: plan.clone(),
            family,
            tensors: weights.names().count(),
            elements,
        }
    }

    /// Whether everything fits.
    pub fn is_exact(&self) -> bool {
        self.plan.is_exact()
    }

    /// One line, for the logs of a run: the mapping, and what was loaded.
    pub fn summary(&self) -> String {
        let plan = &self.plan;
        let mut text = format!("{}: {} parameters by the mapping {}", self.file, plan.loads.len(), plan.mapping);
        if !plan.prefix.is_empty() {
            write!(text, " below `{}`", plan.prefix).expect("texts take what is written");
        }
        for load in plan.loads.iter().filter_map(|load| Some((load, load.recipe.adapt.as_ref()?))) {
            write!(text, "; {} {}", load.0.wanted.name, load.1.describe()).expect("texts take what is written");
        }
        if !plan.ignored.is_empty() {
            write!(text, "; {} ignored", plan.ignored.len()).expect("texts take what is written");
        }
        if !plan.kept.is_empty() {
            write!(text, "; {} keep their start", plan.kept.len()).expect("texts take what is written");
        }
        text
    }

    /// The report for people: counts, then what is not plain by name.
    pub fn text(&self) -> String {
        let plan = &self.plan;
        let mut text = format!("{}: {} tensors\n", self.file, self.tensors);
        let prefix = if plan.prefix.is_empty() { String::new() } else { format!(", names below `{}`", plan.prefix) };
        let doc = plan.doc.split_inclusive(". ").next().unwrap_or_default().trim();
        let _ = writeln!(text, "mapping {}{prefix}: {doc}", plan.mapping);
        if !self.within.is_empty() {
            let _ = writeln!(text, "for the parameters below `{}`", self.within);
        }
        let count = |is: &dyn Fn(&Load) -> bool| plan.loads.iter().filter(|load| is(load)).count();
        let mut line = |what: &str, count: usize, names: &[String]| {
            let _ = writeln!(text, "{what:<12} {count:>6}");
            names.iter().take(SHOWN).for_each(|name| {
                let _ = writeln!(text, "  {name}");
            });
            if names.len() > SHOWN {
                let _ = writeln!(text, "  and {} more", names.len() - SHOWN);
            }
        };
        line("loaded", plan.loads.len(), &[format!("{} numbers", grouped(self.elements))]);
        line("  renamed", count(&Load::is_renamed), &[]);
        line("  remade", count(&|load| !load.recipe.is_plain() && load.recipe.adapt.is_none()), &[]);
        let resampled: Vec<String> = plan.loads.iter().filter_map(|load| adapted(load, true)).collect();
        line("  resampled", resampled.len(), &resampled);
        let channels: Vec<String> = plan.loads.iter().filter_map(|load| adapted(load, false)).collect();
        line("  adapted", channels.len(), &channels);
        line("kept", plan.kept.len(), &plan.kept);
        line("ignored", plan.ignored.len(), &plan.ignored);
        let missing: Vec<String> = plan
            .missing
            .iter()
            .map(|(wanted, near)| format!("{} {:?}{}", wanted.name, wanted.shape, near_text(near, "the nearest left over")))
            .collect();
        line("missing", missing.len(), &missing);
        let shapes: Vec<String> = plan
            .wrong_shape
            .iter()
            .map(|wrong| {
                let called = if wrong.tensor == wrong.parameter { String::new() } else { format!(" (`{}`)", wrong.tensor) };
                match wrong.dtypes {
                    Some((wanted, found)) => format!("{} is {wanted}, the file has {found}{called}", wrong.parameter),
                    None => format!("{} is {:?}, the file has {:?}{called}", wrong.parameter, wrong.wanted, wrong.found),
                }
            })
            .collect();
        line("other shape", shapes.len(), &shapes);
        let left_over: Vec<String> =
            plan.left_over.iter().map(|(name, near)| format!("{name}{}", near_text(near, "the nearest missing"))).collect();
        line("left over", left_over.len(), &left_over);
        if !plan.problems.is_empty() {
            line("problems", plan.problems.len(), &plan.problems);
        }
        for hint in self.hints() {
            let _ = writeln!(text, "help: {hint}");
        }
        text
    }

    /// What may be wrong, in sentences.
    pub fn hints(&self) -> Vec<String> {
        let mut hints = Vec::new();
        if let Some(family) = &self.family {
            hints.push(format!(
                "the file fits {} ({} of {} parameters, mapping {})",
                family.graph, family.loaded, family.parameters, family.mapping
            ));
        }
        for wrong in &self.plan.wrong_shape {
            if let (&[.., height, width], &[.., own_height, own_width]) = (&wrong.found[..], &wrong.wanted[..])
                && wrong.parameter.ends_with("patch_embed.proj.weight")
                && (height, width) != (own_height, own_width)
            {
                hints.push(format!(
                    "the file's patches are {height} x {width} pixels, the graph's {own_height} x {own_width}: a checkpoint of another patch size"
                ));
            }
        }
        hints
    }

    /// The report for programs.
    pub fn json(&self) -> Value {
        let plan = &self.plan;
        let loads: Vec<Value> = plan
            .loads
            .iter()
            .map(|load| {
                let tensors: Vec<&str> = load.recipe.sources.iter().map(|source| source.tensor.as_str()).collect();
                let how = match (&load.recipe.adapt, load.recipe.combine) {
                    (Some(adapt), _) if adapt.is_resampling() => "resampled",
                    (Some(_), _) => "adapted",
                    (None, Combine::Join(_)) => "joined",
                    (None, Combine::Sum) => "summed",
                    (None, Combine::One) if load.is_renamed() => "renamed",
                    (None, Combine::One) if load.recipe.is_plain() => "same",
                    (None, Combine::One) => "remade",
                };
                json!({ "parameter": load.wanted.name, "shape": load.wanted.shape, "tensors": tensors, "how": how })
            })
            .collect();
        let missing: Vec<Value> = plan
            .missing
            .iter()
            .map(|(wanted, near)| json!({ "parameter": wanted.name, "shape": wanted.shape, "nearest": near }))
            .collect();
        let left_over: Vec<Value> =
            plan.left_over.iter().map(|(name, near)| json!({ "tensor": name, "nearest": near })).collect();
        let shapes: Vec<Value> = plan
            .wrong_shape
            .iter()
            .map(|wrong| json!({ "parameter": wrong.parameter, "shape": wrong.wanted, "tensor": wrong.tensor, "found": wrong.found }))
            .collect();
        json!({
            "version": VERSION, "file": self.file, "within": self.within, "mapping": plan.mapping, "prefix": plan.prefix,
            "exact": self.is_exact(), "loaded": loads, "kept": plan.kept, "ignored": plan.ignored, "missing": missing,
            "other_shape": shapes, "left_over": left_over, "problems": plan.problems, "help": self.hints(),
        })
    }
}

fn near_text(near: &Option<String>, what: &str) -> String {
    near.as_ref().map_or_else(String::new, |name| format!("; {what} is `{name}`"))
}

fn adapted(load: &Load, resampled: bool) -> Option<String> {
    let adapt = load.recipe.adapt.as_ref().filter(|adapt| adapt.is_resampling() == resampled)?;
    Some(format!("{} {:?} from {:?}: {}", load.wanted.name, load.wanted.shape, load.found, adapt.describe()))
}

/// A number with its digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
