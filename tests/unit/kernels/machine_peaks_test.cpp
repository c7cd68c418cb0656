#include "kernels/cpu/machine_peaks.h"

#include <gtest/gtest.h>

#include "tests/support/kernel_inputs.h"

namespace incipit::kernels {
namespace {

PeakOptions quick() {
  return {int64_t{4} << 20, std::chrono::milliseconds(1)};
}

TEST(MachineProbe, MeasuresEveryFigureOnEveryInstructionSet) {
  ThreadPool pool(2);
  for (const Isa isa : isas_of_this_machine()) {
    MachineProbe probe(isa, pool, quick());
    const MachinePeaks& peaks = probe.measure();
    EXPECT_EQ(peaks.isa, isa);
    EXPECT_EQ(peaks.n_threads, 2);
    EXPECT_EQ(peaks.buffer_bytes, int64_t{4} << 20);
    EXPECT_GT(peaks.read_bytes_per_s, 0);
    EXPECT_GT(peaks.int8_ops_per_s, 0);
    EXPECT_GT(peaks.fma_flops_per_s, 0);
  }
}

TEST(MachineProbe, KeepsTheBestOfItsMeasurements) {
  ThreadPool pool(1);
  MachineProbe probe(best_isa(), pool, quick());
  const MachinePeaks first = probe.measure();
  const MachinePeaks& second = probe.measure();
  EXPECT_GE(second.read_bytes_per_s, first.read_bytes_per_s);
  EXPECT_GE(second.int8_ops_per_s, first.int8_ops_per_s);
  EXPECT_GE(second.fma_flops_per_s, first.fma_flops_per_s);
}

}  // namespace
}  // namespace incipit::kernels
