// fuzz: links api
// SPDX-License-Identifier: Apache-2.0
// Goal: no protobuf bytes make the way from a request to the core's values crash, and what passes is within
// every limit, as the store will demand. Method: the input as task options, as a batch and as a queue's
// settings, through the conversions of the API.
#include <google/protobuf/stubs/logging.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "api/convert.h"
#include "api/json.h"
#include "task/record.h"
#include "task/record_check.h"

namespace {

using namespace skep;  // NOLINT(google-build-using-namespace): one file, no header
namespace v1 = api::v1;

void check(bool condition) {
  if (!condition) std::abort();
}

void convert(const v1::TaskOptions& options) {
  const auto spec = api::to_spec(options);
  if (!spec) return check(spec.error().code == Code::kInvalid && !spec.error().message.empty());
  check(validate(spec.value()).has_value());
  v1::TaskOptions written;
  api::from_spec(spec.value(), written);
  check(api::to_spec(written).value() == spec.value());
  // The writer of records aborts on what it could not read back.
  TaskRecord record;
  record.spec = spec.value();
  std::string bytes;
  encode(record, bytes);
  check(decode_task(bytes).value() == record);
  v1::Task task;
  api::from_record(record, task);
  check(!api::to_json(task).empty());
}

void patch(const v1::PatchQueueRequest& request) {
  QueueRecord queue;
  queue.name = "default";
  const auto patched = api::patched(queue, request);
  if (!patched) return check(patched.error().code == Code::kInvalid);
  check(check_record(patched.value()).empty());
  std::string bytes;
  encode(patched.value(), bytes);
  check(decode_queue(bytes).value() == patched.value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  google::protobuf::SetLogHandler(nullptr);  // it would write a line for most inputs
  const int bytes = static_cast<int>(size);
  v1::TaskOptions options;
  if (options.ParseFromArray(data, bytes)) convert(options);
  v1::EnqueueBatchRequest batch;
  if (batch.ParseFromArray(data, bytes)) {
    for (const auto& task : batch.tasks()) convert(task.options());
    check(!api::to_json(batch).empty());
  }
  v1::PatchQueueRequest settings;
  if (settings.ParseFromArray(data, bytes)) patch(settings);
  return 0;
}
