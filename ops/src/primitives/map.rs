//! `map`: elementwise arithmetic with broadcasting, the carrier of every activation, formula, mask, cast and comparison.

use super::expand::sum_to_shape;
use super::support::{list, no_gradients};
use smallvec::{SmallVec, smallvec};
use std::any::Any;
use std::sync::{Arc, LazyLock};
use sward_core::program::{
    Array, BuildError, Builder, DType, GradientCall, Primitive, RunKey, Shape, TensorType, ValueId, broadcast_shapes,
};
use sward_core::scalar::{ScalarGraph, ScalarId, ScalarKind, ScalarNode};

/// Elementwise arithmetic: operands of one rank, each size equal to the result's or 1, give one result for every root.
///
/// Input `i` of the scalar graph is the element of operand `i`: an input of the kind `Bool` reads a `bool` operand, one of the kind `Number` any operand
/// (`bool` as 0 and 1). A number stored as `bool` is `value != 0`, one stored as `i64` is cut to a whole number; a truth value stored as a number
/// is 0 or 1. A random leaf's number depends on the run, its stream and the element of the result: two maps of one result shape that name the same stream
/// draw the same numbers. PyTorch: any chain of elementwise functions.
#[derive(Clone, Debug)]
pub struct Map {
    /// The expressions.
    pub scalars: Arc<ScalarGraph>,
    /// The expression of each result.
    pub roots: SmallVec<[ScalarId; 2]>,
    /// The dtype of each result.
    pub dtypes: SmallVec<[DType; 2]>,
    /// The results' sizes, which the operands are broadcast to; without it they are the operands' broadcast (there must be an operand then).
    pub shape: Option<Shape>,
}

impl Map {
    /// A map with one result whose sizes are the operands' broadcast.
    pub fn new(scalars: ScalarGraph, root: ScalarId, dtype: DType) -> Map {
        Map { scalars: Arc::new(scalars), roots: smallvec![root], dtypes: smallvec![dtype], shape: None }
    }

    /// The results' sizes.
    ///
    /// # Errors
    /// Where the operands do not broadcast.
    pub fn result_shape<'a>(&self, operands: impl IntoIterator<Item = &'a [usize]>) -> Result<Shape, String> {
        let mut operands = operands.into_iter().peekable();
        let Some(shape) = &self.shape else {
            if operands.peek().is_none() {
                return Err("neither operands nor sizes".to_string());
            }
            return broadcast_shapes(operands);
        };
        let operands: Vec<&[usize]> = operands.collect();
        match broadcast_shapes(operands.iter().copied().chain([shape.as_slice()]))? {
            common if common == *shape => Ok(common),
            common => Err(format!("operands of the sizes {} for a result of the sizes {}", list(&common), list(shape))),
        }
    }

    /// Whether a random leaf is among the expressions.
    pub fn draws(&self) -> bool {
        let is_random = |id: &ScalarId| matches!(self.scalars.node(*id), ScalarNode::Random { .. });
        self.scalars.reachable(&self.roots).iter().any(is_random)
    }

    /// The results of arrays; shared with `map_reduce` and epilogues.
    pub(crate) fn apply(&self, inputs: &[&Array], key: RunKey) -> Vec<Array> {
        let shape = self.result_shape(inputs.iter().map(|input| input.shape.as_slice())).expect("checked operands");
        let strides: Vec<Shape> = inputs.iter().map(|input| input.broadcast_strides(&shape)).collect();
        let mut results: Vec<Vec<f64>> = vec![Vec::new(); self.roots.len()];
        let mut element = 0;
        Array::for_each_index(&shape, |index| {
            let values: Vec<f64> = (inputs.iter().zip(&strides))
                .map(|(input, strides)| input.data[index.iter().zip(strides).map(|(at, stride)| at * stride).sum::<usize>()])
                .collect();
            for ((result, root), dtype) in results.iter_mut().zip(&self.roots).zip(&self.dtypes) {
                let value = self.scalars.evaluate_with(*root, &values, &|stream| f64::from(key.uniform(stream, element)));
                result.push(stored(value, *dtype));
            }
            element += 1;
        });
        results.into_iter().zip(&self.dtypes).map(|(data, dtype)| Array::new(*dtype, &shape, data)).collect()
    }
}

/// What remains of a number in a dtype; floats are not rounded.
fn stored(value: f64, dtype: DType) -> f64 {
    match dtype {
        DType::Bool => f64::from(u8::from(value != 0.0)),
        DType::I64 => value.trunc(),
        DType::F32 | DType::BF16 => value,
    }
}

/// The longest expression that is written out.
const LONGEST_TEXT: usize = 400;

/// An expression in full, or its beginning and a digest of its steps.
pub(crate) fn scalar_text(scalars: &ScalarGraph, root: ScalarId) -> String {
    let text = scalars.display(root).to_string();
    if text.len() <= LONGEST_TEXT {
        return text;
    }
    let head: String = text.chars().take(LONGEST_TEXT / 2).collect();
    let digest = blake3::hash(scalars.linearize(&[root]).to_string().as_bytes()).to_hex();
    format!("{head}...#{}", &digest[..32])
}

/// Checks that every input of the expressions has an operand that it can read.
pub(crate) fn check_inputs(scalars: &ScalarGraph, roots: &[ScalarId], operands: &[DType]) -> Result<(), String> {
    for id in scalars.reachable(roots) {
        if let ScalarNode::Input { index, kind } = scalars.node(id) {
            let dtype = operands.get(*index as usize).ok_or_else(|| format!("no operand for input {index}"))?;
            if *kind == ScalarKind::Bool && *dtype != DType::Bool {
                return Err(format!("input {index} is a truth value, its operand is {dtype}"));
            }
        }
    }
    Ok(())
}

/// A gradient expression and the operand it belongs to.
struct Slope {
    operand: usize,
    root: ScalarId,
}

impl Map {
    /// The gradient expressions of the wanted operands, zero ones left out. Input `operands + r` is the gradient of result `r`.
    fn slopes(&self, builder: &Builder, call: &GradientCall<'_>, graph: &mut ScalarGraph) -> Result<Vec<Slope>, BuildError> {
        let mut slopes = Vec::new();
        for operand in (0..call.inputs.len()).filter(|operand| call.wanted[*operand]) {
            let mut total: Option<ScalarId> = None;
            for (result, root) in self.roots.iter().enumerate() {
                if call.gradients[result].is_none() || graph.kind(*root) == ScalarKind::Bool {
                    continue;
                }
                let slope = graph
                    .derivative(*root, operand as u32)
                    .map_err(|error| builder.no_gradient(self.name(), error.to_string()))?;
                if graph.as_number(slope) == Some(0.0) {
                    continue;
                }
                let incoming = graph.input((call.inputs.len() + result) as u32, ScalarKind::Number);
                let term = graph.multiply(incoming, slope);
                total = Some(match total {
                    Some(total) => graph.add(total, term),
                    None => term,
                });
            }
            slopes.extend(total.map(|root| Slope { operand, root }));
        }
        Ok(slopes)
    }
}

/// Emits a map of `roots` over those of the `values` (by input index) that it reads; a root that only hands on a value of the wanted dtype and of
/// the result's sizes is that value itself.
pub(crate) fn emit_roots(
    builder: &mut Builder,
    graph: &ScalarGraph,
    roots: &[(ScalarId, DType)],
    values: &[ValueId],
    shape: &[usize],
) -> Result<Vec<ValueId>, BuildError> {
    let handed_on = |builder: &Builder, (root, dtype): (ScalarId, DType)| match graph.node(root) {
        ScalarNode::Input { index, .. } => {
            let value = values[*index as usize];
            (builder.type_of(value) == &TensorType::new(dtype, shape)).then_some(value)
        }
        _ => None,
    };
    let known: Vec<Option<ValueId>> = roots.iter().map(|root| handed_on(builder, *root)).collect();
    let computed: Vec<(ScalarId, DType)> =
        roots.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(root, _)| *root).collect();
    let mut results = SmallVec::new();
    if !computed.is_empty() {
        let (map, operands) = compact(builder, graph, &computed, values, shape);
        results = builder.emit(map, &operands)?;
    }
    let mut results = results.into_iter();
    Ok(known.into_iter().filter_map(|known| known.or_else(|| results.next())).collect())
}

/// The map of some roots with the operands that they read and no others.
fn compact(
    builder: &Builder,
    graph: &ScalarGraph,
    roots: &[(ScalarId, DType)],
    values: &[ValueId],
    shape: &[usize],
) -> (Map, Vec<ValueId>) {
    let ids: Vec<ScalarId> = roots.iter().map(|(root, _)| *root).collect();
    let mut position: Vec<Option<u32>> = vec![None; values.len()];
    let mut operands: Vec<ValueId> = Vec::new();
    for id in graph.reachable(&ids) {
        if let ScalarNode::Input { index, .. } = graph.node(id)
            && position[*index as usize].is_none()
        {
            position[*index as usize] = Some(operands.len() as u32);
            operands.push(values[*index as usize]);
        }
    }
    let mut scalars = ScalarGraph::new();
    let roots_here = ids.iter().map(|root| renumber(graph, *root, &position, &mut scalars)).collect();
    let broadcast = broadcast_shapes(operands.iter().map(|operand| builder.shape(*operand)));
    let is_whole = !operands.is_empty() && broadcast.is_ok_and(|common| common.as_slice() == shape);
    let map = Map {
        scalars: Arc::new(scalars),
        roots: roots_here,
        dtypes: roots.iter().map(|(_, dtype)| *dtype).collect(),
        shape: if is_whole { None } else { Some(Shape::from_slice(shape)) },
    };
    (map, operands)
}

/// Copies an expression into another graph with its inputs renumbered.
fn renumber(graph: &ScalarGraph, root: ScalarId, position: &[Option<u32>], target: &mut ScalarGraph) -> ScalarId {
    let mut copies: rustc_hash::FxHashMap<ScalarId, ScalarId> = rustc_hash::FxHashMap::default();
    for id in graph.reachable(&[root]) {
        let node = *graph.node(id);
        let copy = match node {
            ScalarNode::Input { index, kind } => {
                target.input(position[index as usize].expect("every input that is read has an operand"), kind)
            }
            ScalarNode::Number(value) => target.number(value),
            ScalarNode::Bool(value) => target.bool(value),
            ScalarNode::Random { stream } => target.random(stream),
            ScalarNode::Apply { op, .. } => {
                let operands: Vec<ScalarId> = node.operands().iter().map(|operand| copies[operand]).collect();
                target.apply(op, &operands)
            }
        };
        copies.insert(id, copy);
    }
    copies[&root]
}

/// The most operands and results for which a result may be written over an operand.
const IN_PLACE_OPERANDS: usize = 32;
const IN_PLACE_RESULTS: usize = 8;

/// For every number of results, all pairs (operand, result), operand by operand.
static IN_PLACE: LazyLock<Vec<Vec<(usize, usize)>>> = LazyLock::new(|| {
    (0..=IN_PLACE_RESULTS)
        .map(|results| (0..IN_PLACE_OPERANDS).flat_map(|operand| (0..results).map(move |result| (operand, result))).collect())
        .collect()
});

impl Primitive for Map {
    fn name(&self) -> &'static str {
        "map"
    }

    fn attributes(&self) -> String {
        let roots: Vec<String> = (self.roots.iter().zip(&self.dtypes))
            .map(|(root, dtype)| format!("{dtype} {}", scalar_text(&self.scalars, *root)))
            .collect();
        match &self.shape {
            Some(shape) => format!("{}, shape={}", roots.join(", "), list(shape)),
            None => roots.join(", "),
        }
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        if self.roots.is_empty() || self.roots.len() != self.dtypes.len() {
            return Err(format!("{} expressions for {} results", self.roots.len(), self.dtypes.len()));
        }
        let dtypes: Vec<DType> = inputs.iter().map(|operand| operand.dtype).collect();
        check_inputs(&self.scalars, &self.roots, &dtypes)?;
        let shape = self.result_shape(inputs.iter().map(|operand| operand.shape.as_slice()))?;
        Ok(self.dtypes.iter().map(|dtype| TensorType { dtype: *dtype, shape: shape.clone() }).collect())
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        let mut graph = ScalarGraph::clone(&self.scalars);
        let slopes = self.slopes(builder, call, &mut graph)?;
        let shape = builder.type_of(call.outputs[0]).shape.clone();
        // A result without gradient is named by none of the slopes; any value stands for it.
        let mut values = call.inputs.to_vec();
        values.extend(call.gradients.iter().map(|gradient| gradient.unwrap_or(call.outputs[0])));
        let (whole, repeated): (Vec<Slope>, Vec<Slope>) =
            slopes.into_iter().partition(|slope| builder.shape(call.inputs[slope.operand]) == shape.as_slice());
        let mut results = no_gradients(call);
        // Gradients of whole operands come from one map; each of a repeated operand from its own, which its sum can absorb.
        let dtype_of = |builder: &Builder, slope: &Slope| builder.type_of(call.inputs[slope.operand]).dtype;
        let roots: Vec<(ScalarId, DType)> = whole.iter().map(|slope| (slope.root, dtype_of(builder, slope))).collect();
        for (slope, value) in whole.iter().zip(emit_roots(builder, &graph, &roots, &values, &shape)?) {
            results[slope.operand] = Some(value);
        }
        for slope in repeated {
            let root = (slope.root, dtype_of(builder, &slope));
            let value = emit_roots(builder, &graph, &[root], &values, &shape)?[0];
            results[slope.operand] = Some(sum_to_shape(builder, value, call.inputs[slope.operand])?);
        }
        Ok(results)
    }

    fn reference(&self, inputs: &[&Array], key: RunKey) -> Vec<Array> {
        self.apply(inputs, key)
    }

    fn flops(&self, _: &[TensorType], outputs: &[TensorType]) -> f64 {
        outputs[0].elements() as f64 * self.scalars.cost(&self.roots) as f64
    }

    fn is_random(&self) -> bool {
        self.draws()
    }

    fn in_place(&self) -> &[(usize, usize)] {
        // The pairs of an operand of another size or dtype than the result's are the engine's to leave out.
        let operands = self.scalars.reachable(&self.roots).iter().fold(0, |most, id| match self.scalars.node(*id) {
            ScalarNode::Input { index, .. } => most.max(*index as usize + 1),
            _ => most,
        });
        let pairs = IN_PLACE.get(self.roots.len()).map_or(&[][..], Vec::as_slice);
        &pairs[..pairs.len().min(operands * self.roots.len())]
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
