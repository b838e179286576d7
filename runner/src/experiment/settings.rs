//! What is said about training, folds, metrics and output, held against the data: ranges, and names of columns and targets.

use indexmap::IndexSet;
use sward_core::diagnostic::{Code, Diagnostic, codes};
use sward_core::source::{Span, Spanned};
use sward_core::suggest::nearest;

use super::data::{Column, FieldSpec, Role};
use super::read_data::{DataFile, Field, Session, column_of};
use super::spec::{Experiment, Folds, Mix, Optimizer, Output, Regression, Sampler, Schedule, Takes};
use crate::schedule::Direction;

/// Reports everything that is wrong with an experiment's settings.
pub fn check_settings(session: &mut Session<'_>, experiment: &Experiment, data: &DataFile) {
    check_train(session, experiment, data);
    check_folds(session, &experiment.folds, data);
    for metric in experiment.metrics.values() {
        check_metric(session, experiment, data, metric);
    }
    check_watched(session, experiment);
    check_output(session, experiment, data);
}

/// The targets that a field predicts: its columns, and the totals that follow from them.
pub fn predicted_columns(data: &DataFile, field: &Field) -> IndexSet<String> {
    let mut known: IndexSet<String> = field.columns.iter().cloned().collect();
    if matches!(field.spec, FieldSpec::Targets { .. }) {
        while let Some(identity) = data
            .identities
            .iter()
            .find(|identity| !known.contains(&identity.total) && identity.terms.iter().all(|(_, term)| known.contains(term)))
        {
            known.insert(identity.total.clone());
        }
    }
    known
}

/// Which way a watched metric is better; `None` where it does not exist. Metrics are watched as `val/name`.
pub fn watched_direction(experiment: &Experiment, watched: &str) -> Option<Direction> {
    let name = watched.strip_prefix("val/")?;
    if name == "loss" {
        return Some(Direction::Minimize);
    }
    let metric = experiment.metrics.iter().find(|(own, _)| own.value == name).map(|(_, metric)| metric.value.name())?;
    crate::metrics::direction(metric)
}

/// The metric that chooses the best checkpoint.
pub fn best_metric(experiment: &Experiment) -> String {
    match (&experiment.train.value.best, experiment.metrics.first()) {
        (Some(best), _) => best.value.clone(),
        (None, Some((name, _))) => format!("val/{}", name.value),
        (None, None) => "val/loss".to_owned(),
    }
}

fn report(session: &mut Session<'_>, code: Code, span: Span, message: String, help: &str) {
    session.diagnostics.push(Diagnostic::new(code, message, span).help(help));
}

fn check_train(session: &mut Session<'_>, experiment: &Experiment, data: &DataFile) {
    let Spanned { value: train, span } = &experiment.train;
    let mut require = |holds: bool, message: String, help: &str| {
        if !holds {
            report(session, codes::TRAIN_SETTING, *span, message, help);
        }
    };
    let positive = |number: f64| number.is_finite() && number > 0.0;
    require(train.epochs >= 1, format!("`epochs` is {}; it is at least 1", train.epochs), "one pass over the rows is an epoch");
    require(train.batch >= 1, format!("`batch` is {}; it is at least 1", train.batch), "how many samples a step sees");
    require(train.accumulate >= 1, format!("`accumulate` is {}; it is at least 1", train.accumulate), "1 takes a step a batch");
    let rate = train.optimizer.learning_rate();
    require(positive(rate), format!("the learning rate is {rate}; it is above zero"), "AdamW often begins at 3e-4, Sgd at 0.1");
    let decay = train.optimizer.weight_decay();
    require(
        decay.is_finite() && decay >= 0.0,
        format!("`weight_decay` is {decay}; it is zero or more"),
        "0.01 is AdamW's default",
    );
    match &train.optimizer {
        Optimizer::AdamW { betas: (first, second), epsilon, .. } | Optimizer::Adam { betas: (first, second), epsilon, .. } => {
            let inside = |beta: f64| (0.0..1.0).contains(&beta);
            require(
                inside(*first) && inside(*second),
                format!("`betas` is ({first}, {second}); both lie from 0 to below 1"),
                "(0.9, 0.999) is the default",
            );
            require(positive(*epsilon), format!("`epsilon` is {epsilon}; it is above zero"), "1e-8 is the default");
        }
        Optimizer::Sgd { momentum, nesterov, .. } => {
            require(
                (0.0..1.0).contains(momentum),
                format!("`momentum` is {momentum}; it lies from 0 to below 1"),
                "0.9 is usual",
            );
            require(
                !nesterov || *momentum > 0.0,
                "`nesterov` looks ahead along a momentum, and there is none".to_owned(),
                "set momentum: 0.9",
            );
        }
    }
    for group in &train.groups {
        let own = &group.value;
        let fits = own.lr.is_none_or(|rate| rate.is_finite() && rate >= 0.0)
            && own.weight_decay.is_none_or(|decay| decay.is_finite() && decay >= 0.0)
            && own
                .layer_decay
                .as_ref()
                .is_none_or(|decay| decay.factor > 0.0 && decay.factor <= 1.0 && decay.pattern().contains("{}"));
        require(
            fits,
            format!("a setting of the group `{}` is out of range", own.pattern.value),
            "lr and weight_decay are zero or more, the factor of layer_decay lies above 0 and up to 1, and its blocks hold {}",
        );
    }
    if let Some(norm) = train.clip_norm {
        require(positive(norm), format!("`clip_norm` is {norm}; it is above zero"), "1.0 is usual");
    }
    if let Some(decay) = train.ema {
        require(
            (0.0..1.0).contains(&decay),
            format!("`ema` is {decay}; it lies from 0 to below 1"),
            "0.99 averages over about 100 steps",
        );
    }
    let mix = train.mix.as_ref().map(|mix| mix.value);
    if let Some(Mix::Mixup { alpha } | Mix::Manifold { alpha } | Mix::CutMix { alpha }) = mix {
        require(positive(alpha), format!("`alpha` is {alpha}; it is above zero"), "0.4 mixes gently");
    }
    let is_sound = match &train.schedule {
        Schedule::WarmRestarts { epochs, minimum, .. } => {
            !epochs.is_empty() && epochs.iter().all(|length| *length > 0) && *minimum >= 0.0
        }
        Schedule::Cosine { minimum, .. } => minimum.is_finite() && *minimum >= 0.0,
        Schedule::OneCycle { rise } => *rise > 0.0 && *rise < 1.0,
        Schedule::Step { every_epochs, gamma, .. } => *every_epochs > 0 && positive(*gamma),
        Schedule::MultiStep { gamma, .. } => positive(*gamma),
        Schedule::Plateau { factor, .. } => *factor > 0.0 && *factor < 1.0,
        Schedule::Constant | Schedule::Warmup { .. } => true,
    };
    require(
        is_sound,
        "a setting of the schedule is out of range".to_owned(),
        "lengths are at least 1, factors and rates above zero",
    );
    match &train.sampler {
        Sampler::Uniform => {}
        Sampler::Weighted { by } => {
            if let Some(column) = column_of(session, &data.columns, &by.value, by.span)
                && !matches!(column, Column::Number { .. })
            {
                let message = format!("weights are numbers, and `{}` is a {} column", by.value, column.kind());
                report(session, codes::COLUMN_KIND, by.span, message, "declare it as Number()");
            }
        }
        Sampler::ClassBalanced { by } => {
            column_of(session, &data.columns, &by.value, by.span);
        }
    }
    let images = data.fields.values().filter(|field| field.transform.is_some()).count();
    if matches!(mix, Some(Mix::CutMix { .. })) && images == 0 {
        report(
            session,
            codes::TRAIN_SETTING,
            *span,
            "`CutMix` pastes rectangles of photographs, and there is none".to_owned(),
            "use Mixup",
        );
    }
}

fn check_folds(session: &mut Session<'_>, folds: &Spanned<Folds>, data: &DataFile) {
    let span = folds.span;
    let mut columns: Vec<&Spanned<String>> = Vec::new();
    let mut keeps: Vec<&Spanned<String>> = Vec::new();
    let mut splits_rows = false;
    match &folds.value {
        Folds::KFold { k } => {
            splits_rows = true;
            at_least_two(session, *k, span);
        }
        Folds::StratifiedKFold { k, by } => {
            splits_rows = true;
            columns.push(by);
            at_least_two(session, *k, span);
        }
        Folds::GroupKFold { k, by } => {
            columns.extend(&by.0);
            keeps.extend(&by.0);
            at_least_two(session, *k, span);
        }
        Folds::HoldOut { share, by } => {
            match by {
                Some(by) => {
                    columns.extend(&by.0);
                    keeps.extend(&by.0);
                }
                None => splits_rows = true,
            }
            if !(*share > 0.0 && *share < 1.0) {
                report(
                    session,
                    codes::FOLDS,
                    span,
                    format!("`share` is {share}; it lies between 0 and 1"),
                    "0.2 leaves a fifth out",
                );
            }
        }
        Folds::Given { column } | Folds::Single { column, .. } => columns.push(column),
        Folds::LastRows { count } => {
            if *count == 0 {
                report(session, codes::FOLDS, span, "no row is left to validate on".to_owned(), "count is at least 1");
            }
        }
    }
    for column in columns {
        column_of(session, &data.columns, &column.value, column.span);
    }
    let groups: Vec<&str> =
        data.columns.iter().filter(|(_, (column, _))| column.role() == Role::Group).map(|(name, _)| name.as_str()).collect();
    // Groups made of several columns are finer than those of one: rows that share one column alone may be parted then.
    let parts = !keeps.is_empty() && !groups.is_empty() && !keeps.iter().any(|own| groups.contains(&own.value.as_str()));
    if !groups.is_empty() && (splits_rows || parts) {
        let quoted: Vec<String> = groups.iter().map(|name| format!("\"{name}\"")).collect();
        let message = format!(
            "these folds part rows of one group: {} {} the role Group",
            groups.join(" and "),
            if groups.len() == 1 { "has" } else { "have" }
        );
        let by = quoted.join(", ");
        let mend = match &folds.value {
            Folds::HoldOut { share, .. } => format!("HoldOut(share: {share}, by: [{by}])"),
            _ => format!("GroupKFold(k: 5, by: [{by}])"),
        };
        let help = format!("write {mend}, or take the role from columns that group nothing");
        report(session, codes::FOLDS, span, message, &help);
        return;
    }
    if !groups.is_empty() {
        check_tuple(session, &keeps, data);
    }
}

/// Groups of several columns are tuples: each column makes them finer. A column of measurements or of names differs from row to row, and
/// would leave every row a group of its own.
fn check_tuple(session: &mut Session<'_>, by: &[&Spanned<String>], data: &DataFile) {
    for name in by {
        let Some((column, _)) = data.columns.get(&name.value) else { continue };
        if column.role() != Role::Group && !matches!(column, Column::Category { .. }) {
            let message = format!(
                "`{}` is a {} column without the role Group: folds by it part rows of one group",
                name.value,
                column.kind()
            );
            let help = "a list means tuples, rows are kept together where all its columns agree: leave the column out, or give it \
                        role: Group if it tells groups apart";
            report(session, codes::FOLDS, name.span, message, help);
        }
    }
}

fn at_least_two(session: &mut Session<'_>, k: usize, span: Span) {
    if k < 2 {
        report(session, codes::FOLDS, span, format!("`k` is {k}; there are at least 2 folds"), "5 is usual");
    }
}

/// The field that a metric is of.
pub fn field_of<'d>(
    experiment: &Experiment,
    data: &'d DataFile,
    of: Option<&Spanned<String>>,
    takes: Takes,
) -> Result<&'d Field, String> {
    let fits = |field: &Field| match takes {
        Takes::Numbers => matches!(field.spec, FieldSpec::Targets { .. }),
        Takes::Classes => matches!(field.spec, FieldSpec::Labels { .. } | FieldSpec::Present { .. }),
    };
    let wanted = match takes {
        Takes::Numbers => "numbers (`Targets`)",
        Takes::Classes => "classes (`Labels` or `Present`)",
    };
    let predicted: Vec<&Field> = experiment.predictions.keys().filter_map(|name| data.fields.get(&name.value)).collect();
    if let Some(of) = of {
        return match predicted.iter().find(|field| field.name == of.value) {
            Some(field) if fits(field) => Ok(field),
            Some(field) => Err(format!("the metric takes {wanted}, and `{}` is made by {}", field.name, field.spec.kind())),
            None => {
                let names: Vec<&str> = predicted.iter().map(|field| field.name.as_str()).collect();
                Err(format!("`{}` is not predicted; predicted are {}", of.value, names.join(", ")))
            }
        };
    }
    let fitting: Vec<&&Field> = predicted.iter().filter(|field| fits(field)).collect();
    match fitting.as_slice() {
        [field] => Ok(field),
        [] => Err(format!("the metric takes {wanted}, and no such field is predicted")),
        several => {
            let names: Vec<&str> = several.iter().map(|field| field.name.as_str()).collect();
            Err(format!("the metric could be of {}; say which with `of`", names.join(" or ")))
        }
    }
}

fn check_metric(session: &mut Session<'_>, experiment: &Experiment, data: &DataFile, metric: &Spanned<super::spec::Metric>) {
    use super::spec::Metric;
    let own = &metric.value;
    let field = match field_of(experiment, data, own.of(), own.takes()) {
        Ok(field) => field,
        Err(message) => {
            let span = own.of().map_or(metric.span, |of| of.span);
            report(session, codes::METRIC, span, message, "docs/experiments.md says which metric takes what");
            return;
        }
    };
    if let Metric::R2Score(Regression { weights, .. })
    | Metric::WeightedGlobalR2Score(Regression { weights, .. })
    | Metric::MeanAbsoluteError(Regression { weights, .. })
    | Metric::MeanSquaredError(Regression { weights, .. })
    | Metric::RootMeanSquaredError(Regression { weights, .. }) = own
    {
        let known = predicted_columns(data, field);
        for (name, weight) in weights {
            if !known.contains(&name.value) {
                let near = nearest(&name.value, known.iter().map(String::as_str)).map(|near| format!("did you mean `{near}`?"));
                let all: Vec<&str> = known.iter().map(String::as_str).collect();
                let message = format!("`{}` is not predicted by the field `{}`", name.value, field.name);
                let help = near.unwrap_or_else(|| format!("predicted are {}", all.join(", ")));
                report(session, codes::METRIC, name.span, message, &help);
            } else if !weight.is_finite() || *weight < 0.0 {
                report(session, codes::METRIC, name.span, format!("the weight is {weight}"), "weights are zero or more");
            }
        }
        if !weights.is_empty() && weights.values().all(|weight| *weight == 0.0) {
            report(session, codes::METRIC, metric.span, "all weights are zero".to_owned(), "leave them out for equal ones");
        }
    }
    if let Metric::MeanTweedieDeviance { power, .. } = own
        && let Err(error) = crate::metrics::Tweedie::new(*power)
    {
        report(session, codes::METRIC, metric.span, error.to_string(), "1.5 suits zero-inflated amounts");
    }
    if let Metric::CalibrationError { bins: 0, .. } = own {
        report(session, codes::METRIC, metric.span, "there are no bins".to_owned(), "10 is usual");
    }
}

fn check_watched(session: &mut Session<'_>, experiment: &Experiment) {
    let train = &experiment.train.value;
    let mut watched: Vec<&Spanned<String>> = train.best.iter().collect();
    watched.extend(train.stop.iter().map(|stop| &stop.metric));
    if let Schedule::Plateau { metric, .. } = &train.schedule {
        watched.push(metric);
    }
    for name in watched {
        if watched_direction(experiment, &name.value).is_none() {
            let known: Vec<String> =
                experiment.metrics.keys().map(|own| format!("val/{}", own.value)).chain(["val/loss".to_owned()]).collect();
            let diagnostic = Diagnostic::new(codes::METRIC, format!("there is no metric `{}` to watch", name.value), name.span);
            session.diagnostics.push(match nearest(&name.value, known.iter().map(String::as_str)) {
                Some(near) => diagnostic.suggest(Some(near)),
                None => diagnostic.help(format!("there are {}", known.join(", "))),
            });
        }
    }
}

fn check_output(session: &mut Session<'_>, experiment: &Experiment, data: &DataFile) {
    match &experiment.output.value {
        Output::Wide { id: Some(id), .. } => {
            // A column that the table has and nobody declares may be copied; one that looks like a slip is not.
            if !data.columns.contains_key(&id.value) {
                let near = nearest(&id.value, data.columns.keys().map(String::as_str)).map(str::to_owned);
                let message = format!("`{}` is not declared in the data's `columns`", id.value);
                let help = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("declare it: \"{}\": Id()", id.value),
                };
                report(session, codes::OUTPUT, id.span, message, &help);
            }
        }
        Output::Wide { id: None, .. } => {}
        Output::Long { id, value, .. } => {
            if id.value == *value {
                report(
                    session,
                    codes::OUTPUT,
                    experiment.output.span,
                    format!("two columns would be called `{value}`"),
                    "rename `value`",
                );
            }
            let has_numbers = experiment
                .predictions
                .keys()
                .filter_map(|name| data.fields.get(&name.value))
                .any(|field| matches!(field.spec, FieldSpec::Targets { .. }));
            if !has_numbers {
                let message = "a long output writes one number a row, and no numbers are predicted".to_owned();
                report(session, codes::OUTPUT, experiment.output.span, message, "use Wide()");
            }
        }
    }
}
