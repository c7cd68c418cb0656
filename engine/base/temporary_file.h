// The name of a file that is being written beside the one that it becomes, and how those that
// killed writers left behind are told. Used by weights/packed_writer.cpp, kv/page_file.cpp and
// schedule/page_keeper.cpp. Pure; any thread.
#pragma once

#include <filesystem>

namespace incipit {

// "PATH.tmp.PID.RANDOM". A writer locks the file (flock) as soon as it is made.
std::filesystem::path temporary_name(const std::filesystem::path& path);

// Its writer is gone: the process of its name is, or the file is old; and nobody locks it.
bool is_stale_temporary(const std::filesystem::path& temporary);

// Removes the stale ones of `path`.
void remove_stale_temporaries(const std::filesystem::path& path);

}  // namespace incipit
