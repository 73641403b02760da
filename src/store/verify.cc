// SPDX-License-Identifier: Apache-2.0
#include "store/verify.h"

#include <sys/stat.h>

#include <cerrno>

#include "base/clock.h"
#include "store/fleet_store.h"
#include "store/segment_disk.h"
#include "store/store_directory.h"
#include "store/token_store.h"
#include "store/verify_contents.h"
#include "store/verify_engines.h"

namespace skep::store {

Result<VerifyReport> verify_store(const VerifyOptions& options) {
  VerifyReport report;
  struct stat status {};
  const Error nothing = fail(Code::kNotFound, "there is no store in " + options.directory);
  if (::stat(options.directory.c_str(), &status) != 0 && errno == ENOENT) return nothing;
  const auto looked = look_at_directory(options.directory);
  if (!looked && looked.error().code != Code::kCorrupt) return looked.error();
  if (!looked) {
    ContentsCheck(options, report).find(looked.error());
    SKEP_TRY(const auto segments, list_segments(options.directory));
    // Without it nobody knows what the log engine's checksums begin with.
    if (!segments.empty()) return report;
    SKEP_TRY(verify_rocksdb(options, std::nullopt, report));
    return report;
  }
  const auto& file = looked.value();
  if (!file) return nothing;
  if (!file->is_ready) {
    return fail(Code::kNotFound, "there is no store in " + options.directory +
                                     " yet: its making broke off, and begins again when it is opened");
  }
  report.engine = file->engine;
  report.shards = file->shard_count;
  SKEP_TRY(file->engine == kLogEngine ? verify_log(options, file->secret, report)
                                      : verify_rocksdb(options, file->secret, report));
  if (const auto tokens = open_directory_tokens(options.directory)->list(); !tokens) {
    ContentsCheck(options, report).find(tokens.error());
  }
  const SystemClock clock;
  if (const auto fleet = open_directory_fleet(options.directory, clock)->read(); !fleet) {
    ContentsCheck(options, report).find(fleet.error());
  }
  return report;
}

}  // namespace skep::store
