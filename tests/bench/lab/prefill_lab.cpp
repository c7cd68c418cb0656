// Laboratory of the large steps: how to cut and expand the weights of Llama-3-8B for cuBLAS, with
// the kernels beside the products. One table a part; the winner is the default of LargeTuning.
//
// What lost (H100, four products of 32 layers, 512 / 2,048 rows, ms; by turns with 32 MiB slices:
// 17.7 / 52.0): expanding the next slice on a second stream while cuBLAS multiplies, 2 x 32 MiB
// 20.2 / 52.1, with priority for the expansion 20.6 / 52.7, with 112 multiprocessors for cuBLAS
// 20.6 / 58.3, 3 x 16 MiB 23.2 / 54.5. The products fill every register file, so nothing runs
// beside them; alone the expansion takes 5.5 ms. The best of eight proposals of cublasLt is within
// 3 % of cublasGemmEx's choice where it matters.
#include <cublasLt.h>
#include <cublas_v2.h>

#include <algorithm>
#include <cstdio>
#include <random>
#include <vector>

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/large_matmul.h"
#include "kernels/cuda/top_candidates.h"
#include "tests/bench/lab/llama_layers.h"

namespace incipit::kernels::cuda {
namespace {

using namespace lab;

class Lab {
 public:
  Lab() : stream_(make_stream()), context_{stream_.get(), runs_hopper_code()} {
    std::mt19937_64 random(1);
    layers_ = make_layers(random);
    in_ = make_rows(random);
    out_ = DeviceBuffer::allocate(int64_t{kMaxRows} * kFfn * 2);
    wide_ = DeviceBuffer::allocate(int64_t{kMaxRows} * 2 * kFfn * 2);
    x_ = DeviceBuffer::allocate(int64_t{kMaxRows} * kHidden * 4);
    norm_ = DeviceBuffer::allocate(kHidden * 4);
  }

  void products() {
    std::printf("four products of 32 layers, ms (slice MiB)\n");
    for (const int64_t mib : {8, 16, 32, 48, 64}) {
      LargeTuning t;
      t.slice_bytes = mib << 20;
      LargeMatmul matmul({kMaxRows, kHidden, kFfn, kQkvRows, kHidden}, t);
      std::printf("  %2lld MiB:", static_cast<long long>(mib));
      for (const int32_t n_rows : {65, 128, 256, 512, 2048}) {
        const double ms = median_ms(stream_.get(), 5, [&] { all_products(matmul, n_rows); });
        std::printf("  %4d rows %6.2f", n_rows, ms);
      }
      std::printf("  scratch %lld MB\n", static_cast<long long>(matmul.scratch_bytes() / 1000000));
    }
  }

  void expansion() {
    std::printf("expansion of all weights, no product (slice MiB)\n");
    for (const int64_t mib : {8, 16, 32, 64}) {
      DeviceBuffer slice = DeviceBuffer::allocate(mib << 20);
      int64_t written = 0;
      const double ms = median_ms(stream_.get(), 5, [&] {
        written = 0;
        for (const Layer& layer : layers_) {
          for (const Matrix* m : {&layer.qkv, &layer.out, &layer.gate_up, &layer.down}) {
            written += expand_all(*m, mib << 20, slice.as<uint16_t>());
          }
        }
      });
      std::printf("  %2lld MiB: %6.2f ms, %5.0f GB/s written\n", static_cast<long long>(mib), ms,
                  static_cast<double>(written) / ms / 1e6);
    }
  }

  // What cuBLAS alone needs for the same cuts, the same slice again and again: as cublasGemmEx
  // chooses, and the fastest of what cublasLt proposes.
  void multiplication() {
    std::printf("cuBLAS alone, TFLOP/s by default / best of 8 proposals\n");
    const DeviceBuffer weights = DeviceBuffer::allocate(int64_t{2} * kHidden * 2 * kFfn);
    for (int64_t at = 0; at < weights.size_bytes(); at += in_.size_bytes()) {
      const int64_t n_bytes = std::min(in_.size_bytes(), weights.size_bytes() - at);
      CUDA_CHECK(cudaMemcpy(weights.data() + at, in_.data(), static_cast<size_t>(n_bytes),
                            cudaMemcpyDeviceToDevice));
    }
    const DeviceBuffer workspace = DeviceBuffer::allocate(kWorkspace);
    for (const Cut cut : {Cut{3072, 4096, false}, Cut{6144, 4096, false}, Cut{2048, 4096, false},
                          Cut{4096, 4096, false}, Cut{8192, 4096, false}, Cut{28672, 4096, false},
                          Cut{4096, 4096, true}, Cut{4096, 2048, true}, Cut{4096, 3584, true},
                          Cut{4096, 7168, true}, Cut{4096, 14336, true}}) {
      std::printf("  %5d x %5d%s:", cut.rows, cut.cols, cut.adds ? " +=" : "   ");
      for (const int32_t n_rows : {128, 512, 1024, 2048}) {
        const double tera = 8e-9 * cut.rows * n_rows * static_cast<double>(cut.cols);  // of 4
        std::printf("  %4d rows %4.0f / %4.0f", n_rows,
                    tera / default_ms(cut, n_rows, weights, workspace),
                    tera / best_ms(cut, n_rows, weights, workspace));
      }
      std::printf("\n");
    }
  }

  void others() {
    std::printf("beside the products, us each, %d times in a row\n", kRepeats);
    for (const int32_t n_rows : {512, 2048}) {
      std::printf(
          "  %d rows: norm %.1f, silu of 4096 of the ffn %.1f\n", n_rows, us([&] {
            norm_rows({n_rows, kHidden, nullptr, x_.as<float>(), norm_.as<float>(), 1e-5f,
                       out_.as<uint16_t>(), nullptr},
                      context_);
          }),
          us([&] {
            silu_mul({n_rows, 2048, wide_.as<uint16_t>(), out_.as<uint16_t>(), kFfn}, context_);
          }));
    }
    const NormedRows normed = {wide_.as<uint16_t>(), out_.as<float>()};
    for (const int32_t n_rows : {1, 64}) {
      std::printf(
          "  %d rows: prepare %.1f\n", n_rows, us([&] {
            prepare_rows({n_rows, kHidden, x_.as<float>(), norm_.as<float>(), normed}, context_);
          }));
    }
    std::mt19937 random(2);
    std::normal_distribution<float> value(0.0f, 3.0f);
    std::vector<float> values(size_t{64} * kVocab);
    for (float& v : values) v = value(random);
    const DeviceBuffer logits = DeviceBuffer::allocate(static_cast<int64_t>(values.size()) * 4);
    CUDA_CHECK(cudaMemcpy(logits.data(), values.data(), values.size() * 4, cudaMemcpyHostToDevice));
    const DeviceBuffer scratch = DeviceBuffer::allocate(top_candidates_scratch_bytes(64, kVocab));
    const PinnedBuffer out = PinnedBuffer::allocate(64 * 64 * 8);
    for (const int32_t n_rows : {1, 8, 64}) {
      std::printf("  %d rows: 64 candidates of %d logits %.1f\n", n_rows, kVocab, us([&] {
                    top_candidates({n_rows, kVocab, 64, logits.as<float>(), out.as<Candidate>()},
                                   scratch.data(), context_);
                  }));
    }
  }

 private:
  static constexpr int kRepeats = 50;

  void all_products(LargeMatmul& matmul, int32_t n_rows) {
    for (const Layer& layer : layers_) {
      matmul.product(layer.qkv.view, RowOrder::kRopePairs, kHeadOrder, in_.as<uint16_t>(), n_rows,
                     wide_.as<uint16_t>(), context_);
      matmul.add_product(layer.out.view, in_.as<uint16_t>(), n_rows, x_.as<float>(), context_);
      matmul.mlp_product(layer.gate_up.view, layer.down.view, in_.as<uint16_t>(), n_rows,
                         x_.as<float>(), context_);
    }
  }

  int64_t expand_all(const Matrix& m, int64_t slice_bytes, uint16_t* to) {
    const Int4Shape& shape = m.view.shape;
    const auto step = static_cast<int32_t>(slice_bytes / 2 / shape.cols / 16 * 16);
    for (int32_t first = 0; first < shape.rows; first += step) {
      dequantize(m.view, RowOrder::kPlain, {},
                 {first, std::min(step, shape.rows - first), 0, shape.cols}, to, context_);
    }
    return int64_t{2} * shape.rows * shape.cols;
  }

  struct Cut {
    int32_t rows, cols;
    bool adds;  // to floats; else fp16
  };
  static constexpr int64_t kWorkspace = int64_t{32} << 20;

  // Of four products.
  double default_ms(const Cut& cut, int32_t n_rows, const DeviceBuffer& weights,
                    const DeviceBuffer& workspace) {
    cublasHandle_t handle = nullptr;
    if (cublasCreate(&handle) != CUBLAS_STATUS_SUCCESS) return 0;
    cublasSetStream(handle, stream_.get());
    cublasSetWorkspace(handle, workspace.data(), kWorkspace);
    const float alpha = 1;
    const float beta = cut.adds ? 1 : 0;
    const double ms = median_ms(stream_.get(), 5, [&] {
      for (int i = 0; i < 4; ++i) {
        cublasGemmEx(handle, CUBLAS_OP_T, CUBLAS_OP_N, cut.rows, n_rows, cut.cols, &alpha,
                     weights.data(), CUDA_R_16F, cut.cols, in_.data(), CUDA_R_16F, cut.cols, &beta,
                     cut.adds ? x_.data() : wide_.data(), cut.adds ? CUDA_R_32F : CUDA_R_16F,
                     cut.rows, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
      }
    });
    cublasDestroy(handle);
    return ms;
  }

  double best_ms(const Cut& cut, int32_t n_rows, const DeviceBuffer& weights,
                 const DeviceBuffer& workspace) {
    static cublasLtHandle_t handle = [] {
      cublasLtHandle_t h = nullptr;
      cublasLtCreate(&h);
      return h;
    }();
    cublasLtMatmulDesc_t operation = nullptr;
    cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    const cublasOperation_t transposed = CUBLAS_OP_T;
    cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                   sizeof(transposed));
    const cudaDataType_t out_type = cut.adds ? CUDA_R_32F : CUDA_R_16F;
    const auto k = static_cast<uint64_t>(cut.cols);
    const auto m = static_cast<uint64_t>(cut.rows);
    cublasLtMatrixLayout_t a = nullptr, b = nullptr, c = nullptr;
    cublasLtMatrixLayoutCreate(&a, CUDA_R_16F, k, m, cut.cols);
    cublasLtMatrixLayoutCreate(&b, CUDA_R_16F, k, static_cast<uint64_t>(n_rows), cut.cols);
    cublasLtMatrixLayoutCreate(&c, out_type, m, static_cast<uint64_t>(n_rows), cut.rows);
    cublasLtMatmulPreference_t preference = nullptr;
    cublasLtMatmulPreferenceCreate(&preference);
    const uint64_t bytes = kWorkspace;
    cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                         &bytes, sizeof(bytes));
    cublasLtMatmulHeuristicResult_t found[8];
    int n_found = 0;
    cublasLtMatmulAlgoGetHeuristic(handle, operation, a, b, c, c, preference, 8, found, &n_found);
    const float alpha = 1;
    const float beta = cut.adds ? 1 : 0;
    double best = 1e9;
    void* const out = cut.adds ? x_.data() : wide_.data();
    for (int i = 0; i < n_found; ++i) {
      const double ms = median_ms(stream_.get(), 3, [&] {
        for (int j = 0; j < 4; ++j) {
          cublasLtMatmul(handle, operation, &alpha, weights.data(), a, in_.data(), b, &beta, out, c,
                         out, c, &found[i].algo, workspace.data(), kWorkspace, stream_.get());
        }
      });
      best = std::min(best, ms);
    }
    return best;
  }

  template <class Work>
  double us(const Work& work) {
    const double ms = median_ms(stream_.get(), 5, [&] {
      for (int i = 0; i < kRepeats; ++i) work();
    });
    return ms * 1000 / kRepeats;
  }

  Stream stream_;
  LaunchContext context_;
  std::vector<Layer> layers_;
  DeviceBuffer in_, out_, wide_, x_, norm_;
};

}  // namespace
}  // namespace incipit::kernels::cuda

int main() {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  incipit::kernels::cuda::Lab lab;
  lab.others();
  lab.expansion();
  lab.products();
  lab.multiplication();
  return 0;
}
