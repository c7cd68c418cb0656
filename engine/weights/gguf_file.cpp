#include "engine/weights/gguf_file.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <type_traits>
#include <utility>

#include "engine/weights/block_formats.h"
#include "engine/weights/mapped_file.h"

namespace incipit::engine {
namespace {

constexpr uint32_t kOldestVersion = 2;  // 1 had 32-bit counts
constexpr uint32_t kNewestVersion = 3;
constexpr int64_t kDefaultAlignment = 32;
constexpr int64_t kMaxAlignment = 1 << 20;
constexpr size_t kMaxName = 65535;
constexpr uint32_t kMaxGgufDimensions = 4;
constexpr const char* kAlignmentKey = "general.alignment";

// The file's numbers for the types of metadata.
enum class ValueType : uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64
};

struct GgufTypeRow {
  uint32_t number;
  TensorType type;
};
constexpr std::array<GgufTypeRow, 11> kGgufTypes = {{{0, TensorType::kF32},
                                                     {1, TensorType::kF16},
                                                     {2, TensorType::kQ4_0},
                                                     {3, TensorType::kQ4_1},
                                                     {6, TensorType::kQ5_0},
                                                     {7, TensorType::kQ5_1},
                                                     {8, TensorType::kQ8_0},
                                                     {12, TensorType::kQ4K},
                                                     {13, TensorType::kQ5K},
                                                     {14, TensorType::kQ6K},
                                                     {30, TensorType::kBF16}}};

// Types that exist and cannot be read, for the error.
const char* other_type_name(uint32_t number) {
  constexpr std::array<std::pair<uint32_t, const char*>, 16> kOthers = {{{10, "Q2_K"},
                                                                         {11, "Q3_K"},
                                                                         {15, "Q8_K"},
                                                                         {16, "IQ2_XXS"},
                                                                         {17, "IQ2_XS"},
                                                                         {18, "IQ3_XXS"},
                                                                         {19, "IQ1_S"},
                                                                         {20, "IQ4_NL"},
                                                                         {21, "IQ3_S"},
                                                                         {22, "IQ2_S"},
                                                                         {23, "IQ4_XS"},
                                                                         {29, "IQ1_M"},
                                                                         {34, "TQ1_0"},
                                                                         {35, "TQ2_0"},
                                                                         {39, "MXFP4"},
                                                                         {28, "F64"}}};
  for (const auto& [other, name] : kOthers) {
    if (other == number) return name;
  }
  return "a type of that number";
}

Error corrupt_file(const std::string& where, const std::string& what) {
  return Error{ErrorCode::kCorrupt, fmt::format("{}: {}", where, what)};
}

// Takes values off the front of the file; once one does not fit, everything after is refused.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& where)
      : bytes_(bytes), where_(where) {}

  size_t position() const { return position_; }
  size_t left() const { return bytes_.size() - position_; }

  template <class T>
  Result<T> number(std::string_view what) {
    static_assert(std::is_arithmetic_v<T>);
    if (left() < sizeof(T)) return ends_early(what, sizeof(T));
    T value{};
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }

  Result<std::string_view> text(std::string_view what, size_t longest) {
    ASSIGN_OR_RETURN(const auto length, number<uint64_t>(what));
    if (length > longest) {
      return corrupt_file(where_, fmt::format("{}: want a string of at most {} bytes, found {}",
                                              what, longest, length));
    }
    if (length > left()) return ends_early(what, length);
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data()) + position_, length);
    position_ += length;
    return text;
  }

  Error ends_early(std::string_view what, uint64_t wanted) const {
    return corrupt_file(where_, fmt::format("{}: want {} bytes at offset {}, found the end of the "
                                            "file after {}",
                                            what, wanted, position_, left()));
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& where_;
  size_t position_ = 0;
};

Result<int64_t> read_integer(Reader& reader, ValueType type, std::string_view key) {
  const auto widened = [](const auto& result) -> Result<int64_t> {
    if (!result.ok()) return result.error();
    return static_cast<int64_t>(*result);
  };
  switch (type) {
    case ValueType::kU8:
      return widened(reader.number<uint8_t>(key));
    case ValueType::kI8:
      return widened(reader.number<int8_t>(key));
    case ValueType::kU16:
      return widened(reader.number<uint16_t>(key));
    case ValueType::kI16:
      return widened(reader.number<int16_t>(key));
    case ValueType::kU32:
      return widened(reader.number<uint32_t>(key));
    case ValueType::kI32:
      return widened(reader.number<int32_t>(key));
    default:  // above the signed range it wraps to a negative number, which no reader takes
      return widened(reader.number<uint64_t>(key));
  }
}

Result<double> read_float(Reader& reader, ValueType type, std::string_view key) {
  if (type == ValueType::kF64) return reader.number<double>(key);
  ASSIGN_OR_RETURN(const float value, reader.number<float>(key));
  return double{value};
}

size_t smallest_size(ValueType type) {
  switch (type) {
    case ValueType::kU8:
    case ValueType::kI8:
    case ValueType::kBool:
      return 1;
    case ValueType::kU16:
    case ValueType::kI16:
      return 2;
    case ValueType::kU32:
    case ValueType::kI32:
    case ValueType::kF32:
      return 4;
    default:
      return 8;  // also of an empty string: its length
  }
}

class Parser {
 public:
  Parser(std::span<const std::byte> bytes, const std::string& where)
      : bytes_(bytes), where_(where), reader_(bytes, where) {}

  std::map<std::string, GgufValue, std::less<>> metadata;
  std::vector<Tensor> tensors;
  size_t header_bytes = 0;

  Result<void> parse() {
    ASSIGN_OR_RETURN(const auto magic, reader_.number<uint32_t>("magic"));
    constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
    if (magic != kMagic) return corrupt_file(where_, "magic: want GGUF, found something else");
    ASSIGN_OR_RETURN(const auto version, reader_.number<uint32_t>("version"));
    if (version < kOldestVersion || version > kNewestVersion) {
      return Error{ErrorCode::kUnsupported,
                   fmt::format("{}: version: want {} or {}, little-endian, found {}", where_,
                               kOldestVersion, kNewestVersion, version)};
    }
    ASSIGN_OR_RETURN(const auto n_tensors, reader_.number<uint64_t>("number of tensors"));
    ASSIGN_OR_RETURN(const auto n_entries, reader_.number<uint64_t>("number of metadata entries"));
    TRY(check_count("number of metadata entries", n_entries, 13));  // a key, a type, one byte
    for (uint64_t i = 0; i < n_entries; ++i) TRY(read_entry());
    TRY(check_count("number of tensors", n_tensors, 24));
    for (uint64_t i = 0; i < n_tensors; ++i) TRY(read_tensor());
    return place_tensors();
  }

 private:
  // Counts are believed no further than the file could hold.
  Result<void> check_count(std::string_view what, uint64_t count, size_t bytes_each) const {
    if (count <= reader_.left() / bytes_each) return {};
    return corrupt_file(where_, fmt::format("{}: want at most {} in the rest of the file, found {}",
                                            what, reader_.left() / bytes_each, count));
  }

  Result<void> read_entry() {
    ASSIGN_OR_RETURN(const std::string_view key, reader_.text("a metadata key", kMaxName));
    ASSIGN_OR_RETURN(const auto type, reader_.number<uint32_t>(key));
    ASSIGN_OR_RETURN(GgufValue value, read_value(static_cast<ValueType>(type), key));
    if (!metadata.emplace(key, std::move(value)).second) {
      return corrupt_file(where_, fmt::format("metadata: want each key once, found {} twice", key));
    }
    return {};
  }

  Result<GgufValue> read_value(ValueType type, std::string_view key) {
    switch (type) {
      case ValueType::kArray:
        return read_array(key);
      case ValueType::kString: {
        ASSIGN_OR_RETURN(const std::string_view text, reader_.text(key, reader_.left()));
        return GgufValue(text);
      }
      case ValueType::kBool: {
        ASSIGN_OR_RETURN(const auto byte, reader_.number<uint8_t>(key));
        return GgufValue(byte != 0);
      }
      case ValueType::kF32:
      case ValueType::kF64: {
        ASSIGN_OR_RETURN(const double number, read_float(reader_, type, key));
        return GgufValue(number);
      }
      default:
        break;
    }
    TRY(check_type(type, key));
    ASSIGN_OR_RETURN(const int64_t number, read_integer(reader_, type, key));
    return GgufValue(number);
  }

  Result<void> check_type(ValueType type, std::string_view key) const {
    if (type <= ValueType::kF64) return {};
    return corrupt_file(where_, fmt::format("{}: want a type in 0..12, found {}", key,
                                            static_cast<uint32_t>(type)));
  }

  Result<GgufValue> read_array(std::string_view key) {
    ASSIGN_OR_RETURN(const auto number, reader_.number<uint32_t>(key));
    const auto type = static_cast<ValueType>(number);
    TRY(check_type(type, key));
    if (type == ValueType::kArray) {
      return corrupt_file(where_, fmt::format("{}: want values in an array, found arrays", key));
    }
    ASSIGN_OR_RETURN(const auto count, reader_.number<uint64_t>(key));
    TRY(check_count(key, count, smallest_size(type)));
    if (type == ValueType::kString) {
      return read_elements<std::string_view>(count,
                                             [&] { return reader_.text(key, reader_.left()); });
    }
    if (type == ValueType::kF32 || type == ValueType::kF64) {
      return read_elements<double>(count, [&] { return read_float(reader_, type, key); });
    }
    const ValueType width = type == ValueType::kBool ? ValueType::kU8 : type;
    return read_elements<int64_t>(count, [&] { return read_integer(reader_, width, key); });
  }

  template <class T, class Read>
  Result<GgufValue> read_elements(uint64_t count, const Read& read) {
    std::vector<T> elements;
    elements.reserve(count);
    for (uint64_t i = 0; i < count; ++i) {
      ASSIGN_OR_RETURN(T element, read());
      elements.push_back(element);
    }
    return GgufValue(std::move(elements));
  }

  Result<void> read_tensor() {
    Tensor tensor;
    ASSIGN_OR_RETURN(const std::string_view name, reader_.text("a tensor's name", kMaxName));
    tensor.name = name;
    const std::string place = fmt::format("{}: {}", where_, name);
    ASSIGN_OR_RETURN(const auto n_dimensions, reader_.number<uint32_t>(name));
    if (n_dimensions > kMaxGgufDimensions) {
      return corrupt_file(place, fmt::format("want at most {} dimensions, found {}",
                                             kMaxGgufDimensions, n_dimensions));
    }
    for (uint32_t i = 0; i < n_dimensions; ++i) {
      ASSIGN_OR_RETURN(const auto extent, reader_.number<uint64_t>(name));
      if (extent == 0 || extent > static_cast<uint64_t>(INT64_MAX)) {
        return corrupt_file(place, fmt::format("want sizes from 1 to 2^63 - 1, found {}", extent));
      }
      tensor.shape.insert(tensor.shape.begin(), static_cast<int64_t>(extent));
    }
    ASSIGN_OR_RETURN(const auto type, reader_.number<uint32_t>(name));
    ASSIGN_OR_RETURN(tensor.type, tensor_type(type, place));
    ASSIGN_OR_RETURN(const auto offset, reader_.number<uint64_t>(name));
    tensors.push_back(std::move(tensor));
    offsets_.push_back(offset);
    return {};
  }

  static Result<TensorType> tensor_type(uint32_t number, const std::string& place) {
    std::string names;
    for (const GgufTypeRow& row : kGgufTypes) {
      if (row.number == number) return row.type;
      names += fmt::format("{}{}", names.empty() ? "" : ", ", name_of(row.type));
    }
    return Error{ErrorCode::kUnsupported,
                 fmt::format("{}: type: want one of {}, found {} ({})", place, names,
                             other_type_name(number), number)};
  }

  Result<int64_t> alignment() const {
    const auto it = metadata.find(kAlignmentKey);
    if (it == metadata.end()) return kDefaultAlignment;
    const auto* value = std::get_if<int64_t>(&it->second);
    const bool power =
        value != nullptr && *value > 0 && *value <= kMaxAlignment && (*value & (*value - 1)) == 0;
    if (power) return *value;
    return corrupt_file(where_,
                        fmt::format("{}: want a power of two up to {}, found {}", kAlignmentKey,
                                    kMaxAlignment, value == nullptr ? -1 : *value));
  }

  Result<void> place_tensors() {
    ASSIGN_OR_RETURN(const int64_t align, alignment());
    const auto step = static_cast<uint64_t>(align);
    const uint64_t begin = (reader_.position() + step - 1) / step * step;
    const uint64_t data_bytes = bytes_.size() > begin ? bytes_.size() - begin : 0;
    header_bytes = reader_.position();
    std::vector<std::pair<uint64_t, size_t>> by_offset;
    for (size_t i = 0; i < tensors.size(); ++i) {
      ASSIGN_OR_RETURN(const uint64_t size, size_in_file(tensors[i], data_bytes));
      if (offsets_[i] % step != 0 || offsets_[i] > data_bytes || size > data_bytes - offsets_[i]) {
        return corrupt_file(
            where_, fmt::format("{}: want {} bytes at a multiple of {} in the file's {} bytes of "
                                "data, found offset {}",
                                tensors[i].name, size, step, data_bytes, offsets_[i]));
      }
      tensors[i].data = bytes_.subspan(begin + offsets_[i], size);
      by_offset.emplace_back(offsets_[i], i);
    }
    std::sort(by_offset.begin(), by_offset.end());
    for (size_t i = 1; i < by_offset.size(); ++i) {
      const Tensor& before = tensors[by_offset[i - 1].second];
      const uint64_t end = by_offset[i - 1].first + before.data.size();
      if (by_offset[i].first >= end) continue;
      return corrupt_file(where_, fmt::format("{}: overlaps {}: want data at offset {} or later, "
                                              "found {}",
                                              tensors[by_offset[i].second].name, before.name, end,
                                              by_offset[i].first));
    }
    return {};
  }

  // A row holds whole blocks.
  Result<uint64_t> size_in_file(const Tensor& tensor, uint64_t limit) const {
    const BlockShape block = block_shape(tensor.type);
    const int64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
    if (row % block.n_elements != 0) {
      return corrupt_file(where_,
                          fmt::format("{}: want rows of a multiple of {} elements for {}, "
                                      "found {}",
                                      tensor.name, block.n_elements, name_of(tensor.type), row));
    }
    __int128 size = static_cast<__int128>(row) / block.n_elements * block.n_bytes;
    for (size_t i = 0; i + 1 < tensor.shape.size() && size <= limit; ++i) size *= tensor.shape[i];
    // Above the limit at any step is above it at the end: no extent is 0.
    if (size > static_cast<__int128>(limit)) {
      return corrupt_file(
          where_,
          fmt::format("{}: want at most the file's {} bytes of data for {} {}, "
                      "found more",
                      tensor.name, limit, name_of(tensor.type), describe_shape(tensor.shape)));
    }
    return static_cast<uint64_t>(size);
  }

  std::span<const std::byte> bytes_;
  const std::string& where_;
  Reader reader_;
  std::vector<uint64_t> offsets_;
};

}  // namespace

Result<GgufFile> GgufFile::open(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(auto mapped, MappedFile::open(path));
  ASSIGN_OR_RETURN(GgufFile file, parse(mapped->bytes(), path.string()));
  file.mapping_ = std::move(mapped);
  return file;
}

Result<GgufFile> GgufFile::parse(std::span<const std::byte> bytes, const std::string& where) {
  Parser parser(bytes, where);
  TRY(parser.parse());
  GgufFile file;
  file.where_ = where;
  file.size_bytes_ = static_cast<int64_t>(bytes.size());
  file.header_ = bytes.first(parser.header_bytes);
  file.metadata_ = std::move(parser.metadata);
  file.tensors_ = std::move(parser.tensors);
  for (size_t i = 0; i < file.tensors_.size(); ++i) {
    if (!file.index_.emplace(file.tensors_[i].name, i).second) {
      return corrupt_file(where, fmt::format("tensors: want each name once, found {} twice",
                                             file.tensors_[i].name));
    }
  }
  return file;
}

const Tensor* GgufFile::find(std::string_view name) const {
  const auto it = index_.find(name);
  return it == index_.end() ? nullptr : &tensors_[it->second];
}

}  // namespace incipit::engine
