#include "engine/config/engine_options.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

namespace incipit::engine {

namespace {

constexpr int32_t kMaxDevices = 1024;

template <class T>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Bytes of one unit; 0 for a word that is none.
double unit_bytes(std::string_view unit) {
  constexpr std::array<std::pair<std::string_view, double>, 7> kUnits = {
      {{"B", 1},
       {"kB", 1e3},
       {"MB", 1e6},
       {"GB", 1e9},
       {"KiB", 1024.0},
       {"MiB", 1024.0 * 1024},
       {"GiB", 1024.0 * 1024 * 1024}}};
  for (const auto& [name, bytes] : kUnits)
    if (unit == name) return bytes;
  return 0;
}

}  // namespace

Result<DeviceWish> parse_device(std::string_view text) {
  if (text == "auto") return DeviceWish{};
  if (text == "cpu") return DeviceWish{DeviceWish::Kind::kCpu, 0};
  if (text == "cuda") return DeviceWish{DeviceWish::Kind::kCuda, 0};
  constexpr std::string_view kIndexed = "cuda:";
  if (text.starts_with(kIndexed)) {
    const auto index = parse_number<int32_t>(text.substr(kIndexed.size()));
    if (index && *index >= 0 && *index < kMaxDevices)
      return DeviceWish{DeviceWish::Kind::kCuda, *index};
  }
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("device: want auto, cpu, cuda or cuda:N, found \"{}\"", text)};
}

Result<kernels::KvType> parse_kv_type(std::string_view text) {
  for (const auto type : {kernels::KvType::kF16, kernels::KvType::kInt8})
    if (text == name_of(type)) return type;
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("kv_type: want f16 or int8, found \"{}\"", text)};
}

const char* name_of(kernels::KvType type) {
  return type == kernels::KvType::kInt8 ? "int8" : "f16";
}

Result<kernels::KvType> choose_kv_type(const EngineOptions& options) {
  ASSIGN_OR_RETURN(const kernels::KvType type, parse_kv_type(options.kv_type));
  ASSIGN_OR_RETURN(const DeviceWish wish, parse_device(options.device));
  if (type == kernels::KvType::kInt8 && wish.kind == DeviceWish::Kind::kCpu)
    return Error{ErrorCode::kInvalidArgument,
                 "kv_type: int8 keys and values are for a CUDA device, and the device is cpu: "
                 "want f16"};
  return type;
}

Result<int64_t> parse_kv_disk(std::string_view text) {
  if (text.empty() || text == "0") return 0;
  const size_t unit_at = std::min(text.find_first_not_of("0123456789."), text.size());
  const auto number = parse_number<double>(text.substr(0, unit_at));
  const double bytes = number.value_or(0) * unit_bytes(text.substr(unit_at));
  if (!(bytes >= 1) || bytes > 1e15)
    return Error{
        ErrorCode::kInvalidArgument,
        fmt::format("kv_disk: want a size such as 2GiB or 500MB, or 0, found \"{}\"", text)};
  return static_cast<int64_t>(bytes);
}

Result<MemoryBudget> parse_memory_budget(std::string_view text) {
  if (text.empty()) return MemoryBudget{};
  const Error wrong{ErrorCode::kInvalidArgument,
                    fmt::format("gpu_memory: want a size such as 11GiB or 900MB, or a fraction "
                                "such as 0.9 of what is free, found \"{}\"",
                                text)};
  const size_t unit_at = text.find_first_not_of("0123456789.");
  const auto number = parse_number<double>(text.substr(0, unit_at));
  if (!number || !(*number > 0)) return wrong;
  MemoryBudget budget;
  budget.is_given = true;
  if (unit_at == std::string_view::npos) {
    if (*number > 1) return wrong;
    budget.fraction = *number;
    return budget;
  }
  const double bytes = *number * unit_bytes(text.substr(unit_at));
  if (!(bytes >= 1) || bytes > 1e15) return wrong;
  budget.bytes = static_cast<int64_t>(bytes);
  return budget;
}

}  // namespace incipit::engine
