//! Matrix products by cuBLASLt.

use std::ffi::c_void;
use std::sync::Mutex;

use cudarc::cublaslt::{result, sys};
use cudarc::driver;

use super::device::{Activation, Address, BlasMatrix, BlasType, DeviceError, PreparedProduct, Product};

/// What cuBLASLt may use beside the matrices; NVIDIA advises 32 MiB for Hopper.
const WORKSPACE_BYTES: usize = 32 << 20;

fn call(call: &'static str) -> impl Fn(result::CublasError) -> DeviceError {
    move |error| DeviceError::Call { call, reason: error.to_string() }
}

fn data_type(dtype: BlasType) -> sys::cudaDataType {
    match dtype {
        BlasType::F32 => sys::cudaDataType::CUDA_R_32F,
        BlasType::Bf16 => sys::cudaDataType::CUDA_R_16BF,
    }
}

/// The largest power of two that an address is a multiple of, up to the 256 bytes that the library knows.
fn alignment(address: Address) -> u32 {
    1 << address.trailing_zeros().min(8)
}

/// A product with its descriptions and the algorithm that was chosen.
struct Prepared {
    product: Product,
    description: sys::cublasLtMatmulDesc_t,
    layouts: [sys::cublasLtMatrixLayout_t; 3],
    algorithm: sys::cublasLtMatmulAlgo_t,
}

/// The library's handle, its workspace and the products that were prepared.
pub(super) struct Blas {
    handle: sys::cublasLtHandle_t,
    stream: driver::sys::CUstream,
    workspace: driver::sys::CUdeviceptr,
    prepared: Mutex<Vec<Option<Prepared>>>,
}

impl Blas {
    /// Opens the library for a stream of the current context.
    ///
    /// # Errors
    /// When it does not start, or there is no memory for its workspace.
    pub(super) fn new(stream: driver::sys::CUstream) -> Result<Blas, DeviceError> {
        let handle = result::create_handle().map_err(call("cublasLtCreate"))?;
        // SAFETY: the workspace is written before it is read, by the library.
        let workspace = unsafe { driver::result::malloc_sync(WORKSPACE_BYTES) }
            .map_err(|error| DeviceError::Call { call: "cuMemAlloc", reason: error.to_string() })?;
        Ok(Blas { handle, stream, workspace, prepared: Mutex::new(Vec::new()) })
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Vec<Option<Prepared>>> {
        // Every change is one push or one store: a panic leaves the table whole.
        self.prepared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Chooses the algorithm of a product.
    pub(super) fn prepare(&self, product: &Product) -> Result<PreparedProduct, DeviceError> {
        let description = result::create_matmul_desc(sys::cublasComputeType_t::CUBLAS_COMPUTE_32F, sys::cudaDataType::CUDA_R_32F)
            .map_err(call("cublasLtMatmulDescCreate"))?;
        let layouts =
            [layout(&product.a, product.batch)?, layout(&product.b, product.batch)?, layout(&product.d, product.batch)?];
        // SAFETY: descriptions and layouts were just made and live until `free`.
        let algorithm = unsafe {
            describe(description, product)?;
            self.choose(description, layouts, product)?
        };
        let mut table = self.table();
        table.push(Some(Prepared { product: *product, description, layouts, algorithm }));
        Ok(PreparedProduct(table.len() - 1))
    }

    /// # Safety
    /// The handles are alive.
    unsafe fn choose(
        &self,
        description: sys::cublasLtMatmulDesc_t,
        [a, b, d]: [sys::cublasLtMatrixLayout_t; 3],
        product: &Product,
    ) -> Result<sys::cublasLtMatmulAlgo_t, DeviceError> {
        use sys::cublasLtMatmulPreferenceAttributes_t as Attribute;
        let preference = result::create_matmul_pref().map_err(call("cublasLtMatmulPreferenceCreate"))?;
        let bytes = WORKSPACE_BYTES;
        // Unless it is told otherwise, the library takes every matrix to begin at a multiple of 256 bytes; values of a plan begin at multiples of 64.
        let alignments = [
            (Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment(product.a.address)),
            (Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment(product.b.address)),
            (Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment(product.addend.unwrap_or(product.d.address))),
            (Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment(product.d.address)),
        ];
        // SAFETY: the caller's promise; the numbers are read before the calls return.
        unsafe {
            let attribute = Attribute::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
            result::set_matmul_pref_attribute(preference, attribute, (&raw const bytes).cast(), size_of::<usize>())
                .map_err(call("cublasLtMatmulPreferenceSetAttribute"))?;
            for (attribute, bytes) in &alignments {
                result::set_matmul_pref_attribute(preference, *attribute, (&raw const *bytes).cast(), size_of::<u32>())
                    .map_err(call("cublasLtMatmulPreferenceSetAttribute"))?;
            }
            let chosen = result::get_matmul_algo_heuristic(self.handle, description, a, b, d, d, preference);
            result::destroy_matmul_pref(preference).map_err(call("cublasLtMatmulPreferenceDestroy"))?;
            chosen.map(|heuristic| heuristic.algo).map_err(call("cublasLtMatmulAlgoGetHeuristic"))
        }
    }

    /// # Safety
    /// The matrices lie in allocated memory.
    pub(super) unsafe fn run(&self, product: PreparedProduct) -> Result<(), DeviceError> {
        let table = self.table();
        let Some(Prepared { product, description, layouts: [a, b, d], algorithm }) = &table[product.0] else {
            return Err(DeviceError::Call { call: "cublasLtMatmul", reason: "the product was forgotten".to_string() });
        };
        let (factor, addend_factor) = (1.0f32, if product.addend.is_some() { 1.0f32 } else { 0.0 });
        // SAFETY: the caller's promise; the factors are read before the call returns (pointer mode host).
        unsafe {
            result::matmul(
                self.handle,
                *description,
                (&raw const factor).cast(),
                (&raw const addend_factor).cast(),
                product.a.address as *const c_void,
                *a,
                product.b.address as *const c_void,
                *b,
                product.addend.unwrap_or(product.d.address) as *const c_void,
                *d,
                product.d.address as *mut c_void,
                *d,
                algorithm,
                self.workspace as *mut c_void,
                WORKSPACE_BYTES,
                self.stream.cast(),
            )
        }
        .map_err(call("cublasLtMatmul"))
    }

    /// Forgets a product.
    pub(super) fn free(&self, product: PreparedProduct) {
        if let Some(Prepared { description, layouts, .. }) = self.table()[product.0].take() {
            // SAFETY: taken out of the table, so that nobody uses them again. What cannot be freed is left.
            unsafe {
                for layout in layouts {
                    let _ = result::destroy_matrix_layout(layout);
                }
                let _ = result::destroy_matmul_desc(description);
            }
        }
    }
}

impl Drop for Blas {
    fn drop(&mut self) {
        // In the head of the loop the lock on the table would be held through all of it, and `free` would wait for it.
        let count = self.table().len();
        for index in 0..count {
            self.free(PreparedProduct(index));
        }
        // SAFETY: made by `new`, used by nobody any more.
        unsafe {
            let _ = driver::result::free_sync(self.workspace);
            let _ = result::destroy_handle(self.handle);
        }
    }
}

fn layout(matrix: &BlasMatrix, batch: usize) -> Result<sys::cublasLtMatrixLayout_t, DeviceError> {
    use sys::cublasLtMatrixLayoutAttribute_t as Attribute;
    let BlasMatrix { dtype, rows, columns, leading, stride, .. } = *matrix;
    let layout = result::create_matrix_layout(data_type(dtype), rows as u64, columns as u64, leading as i64)
        .map_err(call("cublasLtMatrixLayoutCreate"))?;
    let (count, stride) = (batch as i32, stride as i64);
    // SAFETY: the layout was just made; the numbers are read before the calls return.
    unsafe {
        result::set_matrix_layout_attribute(
            layout,
            Attribute::CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
            (&raw const count).cast(),
            size_of::<i32>(),
        )
        .map_err(call("cublasLtMatrixLayoutSetAttribute"))?;
        result::set_matrix_layout_attribute(
            layout,
            Attribute::CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
            (&raw const stride).cast(),
            size_of::<i64>(),
        )
        .map_err(call("cublasLtMatrixLayoutSetAttribute"))?;
    }
    Ok(layout)
}

/// Sets transposes and epilogue.
///
/// # Safety
/// The description is alive.
unsafe fn describe(description: sys::cublasLtMatmulDesc_t, product: &Product) -> Result<(), DeviceError> {
    use sys::cublasLtMatmulDescAttributes_t as Attribute;
    // SAFETY: the caller's promise; values are read before the call returns.
    let set = |attribute: Attribute, value: *const c_void, bytes: usize| unsafe {
        result::set_matmul_desc_attribute(description, attribute, value, bytes).map_err(call("cublasLtMatmulDescSetAttribute"))
    };
    // CUBLAS_OP_N and CUBLAS_OP_T.
    let transposes = [i32::from(product.transpose_a), i32::from(product.transpose_b)];
    set(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, (&raw const transposes[0]).cast(), size_of::<i32>())?;
    set(Attribute::CUBLASLT_MATMUL_DESC_TRANSB, (&raw const transposes[1]).cast(), size_of::<i32>())?;
    use sys::cublasLtEpilogue_t as Kind;
    let epilogue = match (product.activation, product.bias.is_some()) {
        (None, false) => None,
        (None, true) => Some(Kind::CUBLASLT_EPILOGUE_BIAS),
        (Some(Activation::Relu), false) => Some(Kind::CUBLASLT_EPILOGUE_RELU),
        (Some(Activation::Relu), true) => Some(Kind::CUBLASLT_EPILOGUE_RELU_BIAS),
        (Some(Activation::GeluTanh), false) => Some(Kind::CUBLASLT_EPILOGUE_GELU),
        (Some(Activation::GeluTanh), true) => Some(Kind::CUBLASLT_EPILOGUE_GELU_BIAS),
    };
    if let Some(epilogue) = epilogue {
        set(Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, (&raw const epilogue).cast(), size_of_val(&epilogue))?;
    }
    if let Some(bias) = product.bias {
        let dtype = data_type(product.d.dtype);
        set(Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, (&raw const bias).cast(), size_of::<u64>())?;
        set(Attribute::CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, (&raw const dtype).cast(), size_of_val(&dtype))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::alignment;

    #[test]
    fn an_address_is_as_aligned_as_its_last_set_bit_says_and_at_most_256() {
        assert_eq!([4096, 64, 192, 16, 2].map(alignment), [256, 64, 64, 16, 2]);
    }
}
