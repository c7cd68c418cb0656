// From GPTQ's words straight to packed tiles, where nothing has to change but their places: several
// times as fast as through the plain matrix (int4_section.h), which everything else goes through.
// The same bytes. Loading thread.
#pragma once

#include <cstddef>
#include <span>

#include "engine/weights/int4_section.h"
#include "kernels/common/thread_pool.h"

namespace incipit::engine {

// Whether the section is GPTQ without reordered inputs, zero points of its own, or rows and columns
// that need padding.
bool can_pack_directly(const Int4Plan& plan);

// `out`: CpuTile::bytes(plan.shape). Nothing is lost.
void pack_directly(const Int4Plan& plan, std::span<std::byte> out, kernels::ThreadPool& pool);

}  // namespace incipit::engine
