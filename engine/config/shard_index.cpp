#include "engine/config/shard_index.h"

#include <fmt/core.h>

#include "engine/config/json_fields.h"

namespace incipit::engine {

Result<std::map<std::string, std::string>> parse_shard_index(std::string_view json,
                                                             const std::string& where) {
  ASSIGN_OR_RETURN(const auto parsed, parse_json_object(json, where));
  const JsonFields fields(parsed, where);
  ASSIGN_OR_RETURN(const auto* weight_map, fields.object_or_null("weight_map"));
  if (weight_map == nullptr) return fields.wanted("weight_map", "an object");
  std::map<std::string, std::string> files;
  for (const auto& [tensor, file] : weight_map->items()) {
    const bool plain = file.is_string() && !file.get_ref<const std::string&>().empty() &&
                       file.get_ref<const std::string&>().find_first_of(std::string("/\\\0", 3)) ==
                           std::string::npos;
    if (!plain) {
      return Error{ErrorCode::kCorrupt,
                   fmt::format("{}: weight_map.{}: want a file name without a directory, found {}",
                               where, tensor, shown(file))};
    }
    files.emplace(tensor, file.get<std::string>());
  }
  return files;
}

}  // namespace incipit::engine
