// SPDX-License-Identifier: Apache-2.0
// Goal: what was stored is read back exactly, and nothing else is ever read.
// Method: records drawn over their whole ranges; every flipped byte, every truncation, every value out of
// range with a checksum that matches, and bytes written down by hand so that the layout can not change
// unnoticed.
#include "task/record.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/hash.h"
#include "task/bytes.h"
#include "task/testing/arbitrary_record.h"

namespace skep {
namespace {

using testing::any_id;
using testing::any_queue_record;
using testing::any_task_record;
using testing::any_text;

template <class Record>
std::string stored(const Record& record) {
  std::string bytes;
  encode(record, bytes);
  return bytes;
}

std::string stored_blob(const TaskId& task, std::string_view bytes) {
  std::string out;
  encode_blob(task, bytes, out);
  return out;
}

// The bytes with a checksum that matches them.
std::string sealed(std::string bytes) {
  append_fixed(bytes, crc32c(bytes), 4);
  return bytes;
}

// A record without its checksum, cut or changed by the caller and sealed again.
std::string opened(std::string bytes) {
  bytes.resize(bytes.size() - 4);
  return bytes;
}

template <class T>
void expect_corrupt(const Result<T>& result, std::string_view part) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kCorrupt);
  EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
}

RC_GTEST_PROP(TaskRecordBytes, ReadBackWhatWasStored, (std::uint64_t seed)) {
  Random random(seed);
  const TaskRecord record = any_task_record(random);
  const auto decoded = decode_task(stored(record));
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(decoded.value() == record);
  RC_ASSERT(stored(decoded.value()) == stored(record));
}

RC_GTEST_PROP(QueueRecordBytes, ReadBackWhatWasStored, (std::uint64_t seed)) {
  Random random(seed);
  const QueueRecord record = any_queue_record(random);
  const auto decoded = decode_queue(stored(record));
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(decoded.value() == record);
}

RC_GTEST_PROP(BlobBytes, ReadBackWhatWasStored, (std::uint64_t seed)) {
  Random random(seed);
  const TaskId id = any_id(random);
  const std::string bytes = any_text(random, 3'000);
  const auto decoded = decode_blob(id, stored_blob(id, bytes));
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(decoded.value() == bytes);
}

TEST(RecordBytes, EncodeAppends) {
  std::string out = "before";
  encode(QueueRecord{}, out);
  EXPECT_EQ(out.substr(0, 6), "before");
  EXPECT_TRUE(decode_queue(std::string_view(out).substr(6)));
  out = "before";
  encode_blob({1, 2, 3}, "body", out);
  EXPECT_EQ(decode_blob({1, 2, 3}, std::string_view(out).substr(6)).value(), "body");
}

RC_GTEST_PROP(RecordBytes, EveryFlippedByteIsNoticed, (std::uint64_t seed)) {
  Random random(seed);
  const TaskId id = any_id(random);
  const std::string task = stored(any_task_record(random));
  const std::string queue = stored(any_queue_record(random));
  const std::string blob = stored_blob(id, any_text(random, 100));
  const auto flips = static_cast<char>(1 + random.below(255));
  const auto check = [&](std::string bytes, auto decode) {
    for (char& c : bytes) {
      c = static_cast<char>(c ^ flips);
      const auto decoded = decode(bytes);
      RC_ASSERT(!decoded.has_value());
      RC_ASSERT(decoded.error().code == Code::kCorrupt);
      c = static_cast<char>(c ^ flips);
    }
  };
  check(task, [](std::string_view bytes) { return decode_task(bytes); });
  check(queue, [](std::string_view bytes) { return decode_queue(bytes); });
  check(blob, [&](std::string_view bytes) { return decode_blob(id, bytes); });
}

RC_GTEST_PROP(RecordBytes, EveryTruncationIsNoticed, (std::uint64_t seed)) {
  Random random(seed);
  const TaskId id = any_id(random);
  const std::string task = stored(any_task_record(random));
  const std::string queue = stored(any_queue_record(random));
  const std::string blob = stored_blob(id, any_text(random, 100));
  for (std::size_t n = 0; n < task.size(); ++n) {
    RC_ASSERT(!decode_task(std::string_view(task).substr(0, n)).has_value());
  }
  for (std::size_t n = 0; n < queue.size(); ++n) {
    RC_ASSERT(!decode_queue(std::string_view(queue).substr(0, n)).has_value());
  }
  for (std::size_t n = 0; n < blob.size(); ++n) {
    RC_ASSERT(!decode_blob(id, std::string_view(blob).substr(0, n)).has_value());
  }
}

// What a broken writer or a wrong memory cell could leave under a checksum that matches.
RC_GTEST_PROP(RecordBytes, CutOffUnderAMatchingChecksumIsNoticed, (std::uint64_t seed)) {
  Random random(seed);
  const std::string task = opened(stored(any_task_record(random)));
  for (std::size_t n = 0; n < task.size(); ++n) {
    const auto decoded = decode_task(sealed(task.substr(0, n)));
    RC_ASSERT(!decoded.has_value());
    RC_ASSERT(decoded.error().code == Code::kCorrupt);
  }
  expect_corrupt(decode_task(sealed(task + "x")), "1 bytes are left over");
}

RC_GTEST_PROP(RecordBytes, WhateverIsReadHasOneForm, (std::uint64_t seed)) {
  Random random(seed);
  std::string task = opened(stored(any_task_record(random)));
  for (int i = 0; i < 4; ++i) task[2 + random.below(task.size() - 2)] = static_cast<char>(random.next());
  const std::string bytes = sealed(task);
  if (const auto decoded = decode_task(bytes)) RC_ASSERT(stored(decoded.value()) == bytes);
}

RC_GTEST_PROP(RecordBytes, AnyBytesNeverCrash, (const std::string& bytes)) {
  const auto try_all = [](std::string_view input) {
    (void)decode_task(input);
    (void)decode_queue(input);
    (void)decode_blob({1, 2, 3}, input);
  };
  try_all(bytes);
  try_all(sealed("\x01T" + bytes));
  try_all(sealed("\x02T" + bytes));
  try_all(sealed("\x03T" + bytes));
  try_all(sealed("\x04T" + bytes));
  try_all(sealed("\x01Q" + bytes));
}

TEST(RecordBytes, ANewerVersionIsToldFromDamage) {
  std::string task = opened(stored(TaskRecord{}));
  task[0] = kRecordVersion + 1;
  const auto decoded = decode_task(sealed(task));
  expect_corrupt(decoded, "format version 5");
  expect_corrupt(decoded, "a newer skep wrote it");
  task[0] = 0;
  expect_corrupt(decode_task(sealed(task)), "version 0");
}

TEST(RecordBytes, ARecordOfAnotherKindIsRefused) {
  expect_corrupt(decode_task(stored(QueueRecord{})), "another kind");
  expect_corrupt(decode_queue(stored(TaskRecord{})), "another kind");
  expect_corrupt(decode_task(sealed("\x01")), "another kind");
}

TEST(RecordBytes, ABlobUnderTheWrongKeyIsRefused) {
  const std::string bytes = stored_blob({1, 2, 3}, "body");
  for (const TaskId& other : {TaskId{2, 2, 3}, TaskId{1, 3, 3}, TaskId{1, 2, 4}}) {
    const auto decoded = decode_blob(other, bytes);
    expect_corrupt(decoded, "checksum");
    expect_corrupt(decoded, other.to_string());
  }
}

TEST(RecordBytes, EveryFieldIsHeldToItsRange) {
  // The queue record is short enough to be written down; each case changes one field.
  const std::string head = "\x01Q";
  const std::string name("\x01q", 2);
  const std::string zeros(6, '\0');
  ASSERT_TRUE(decode_queue(sealed(head + name + zeros)));
  expect_corrupt(decode_queue(sealed(head + name + '\x02' + zeros.substr(1))),
                 "is_paused is neither 0 nor 1");
  expect_corrupt(decode_queue(sealed(head + "\x41" + std::string(65, 'q') + zeros)),
                 "name is 65, not from 0 to 64");
  const std::string above_int64 = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
  EXPECT_TRUE(decode_queue(sealed(head + name + '\0' + above_int64 + zeros.substr(2))));
  expect_corrupt(decode_queue(sealed(head + name + zeros.substr(1) + above_int64)), "dead_retention is");
  const std::string above_uint64 = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02";
  expect_corrupt(decode_queue(sealed(head + name + '\0' + above_uint64 + zeros.substr(2))), "depth_max");
  const std::string padded("\x80\x00", 2);
  expect_corrupt(decode_queue(sealed(head + name + '\0' + padded + zeros.substr(2))), "shortest form");
  const std::string endless(12, '\x80');
  expect_corrupt(decode_queue(sealed(head + name + '\0' + endless)), "shortest form");
}

// A record in its smallest form; the places of its fields are those of docs/store_format.md.
std::string smallest_task() {
  TaskRecord record;
  record.spec.queue.clear();
  record.spec.kind.clear();
  return opened(stored(record));
}

TEST(RecordBytes, TaskFieldsAreHeldToTheirRanges) {
  const std::string smallest = smallest_task();
  const auto with = [&](std::size_t place, char value) {
    std::string bytes = smallest;
    bytes[place] = value;
    return decode_task(sealed(bytes));
  };
  ASSERT_TRUE(decode_task(sealed(smallest)));
  expect_corrupt(with(9, 10), "priority is 10, not from 0 to 9");
  expect_corrupt(with(10, 101), "attempts_max is 101, not from 0 to 100");
  expect_corrupt(with(15, 17), "tags is 17, not from 0 to 16");
  expect_corrupt(with(16, 0), "state is 0, not from 1 to 6");
  expect_corrupt(with(16, 7), "state is 7, not from 1 to 6");
  expect_corrupt(with(25, '\x80'), "enqueued_at is before 1970");
  expect_corrupt(with(52, 17), "errors is 17, not from 0 to 16");
}

// A record with the bytes of its version 1: what follows them is of later versions.
std::pair<TaskRecord, std::string> written_down() {
  TaskRecord record;
  record.id = {0x0102, 3, 300};
  record.spec.iterations = 5;
  record.spec.tags = {"t"};
  record.body_bytes = 7;
  record.enqueued_at = Instant(Duration(0x0102030405060708));
  record.errors = {{1, AttemptEnd::kRunTimeout, Instant(Duration(2)), "w", "m"}};
  record.lease_number = 1;
  record.result_hash = 0xff00000000000001;
  std::string expected(
      "\x01T"
      "\x82\x02\x03\xac\x02"  // id: 258, 3, 300
      "\x07"
      "default"
      "\x06"
      "sha512"
      "\x05\x00"                          // queue, kind, iterations, program
      "\x05\x05\x00\x00\x00\x00"          // priority, attempts_max, three durations, idempotency_key
      "\x01\x01t"                         // tags
      "\x02\x07"                          // state, body_bytes
      "\x08\x07\x06\x05\x04\x03\x02\x01"  // enqueued_at
      "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"  // ready_at, queued_at, finished_at
      "\x00\x00"                                          // attempts_failed, workers_lost
      "\x01\x01\x02\x02\0\0\0\0\0\0\0\x01w\x01m"          // errors
      "\x00\x00\x01\x00"                                  // reason, lease_epoch, lease_number, worker
      "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"  // leased_at, started_at, lease_expires_at
      "\x00\x01\0\0\0\0\0\0\xff"                          // result_bytes, result_hash
      "\x00\x00\0\0\0\0\0\0\0\0",                         // completion, completion_epoch, delivered_at
      2 + 5 + 17 + 6 + 3 + 2 + 8 + 24 + 2 + 15 + 4 + 24 + 9 + 10);
  return {record, expected};
}

// The same with the bytes of version 2.
std::pair<TaskRecord, std::string> written_down_2() {
  auto [record, expected] = written_down();
  record.spec.keep_checkpoints = false;
  record.resumed_from = 2;
  record.checkpoint = Checkpoint{4, "digest", Instant(Duration(3))};
  expected[0] = 2;
  expected.append(
      "\x00\x02"                   // keep_checkpoints, resumed_from
      "\x01"                       // there is a checkpoint
      "\x04\x06"                   // its iterations
      "digest"                     //
      "\x03\x00\x00\x00\0\0\0\0",  // when it came
      2 + 1 + 2 + 6 + 8);
  return {record, expected};
}

// And with those of version 3.
std::pair<TaskRecord, std::string> written_down_3() {
  auto [record, expected] = written_down_2();
  record.spec.parameters = {"a=1", "b="};
  record.usage = {300, 5};
  expected[0] = 3;
  expected.append(
      "\x02\x03"
      "a=1\x02"
      "b="             // parameters
      "\xac\x02\x05",  // cpu_us, memory_peak_bytes
      2 + 3 + 1 + 2 + 3);
  return {record, expected};
}

TEST(RecordBytes, TheLayoutIsTheDocumentedOne) {
  auto [record, expected] = written_down_3();
  record.spec.trace = {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=1"};
  expected[0] = 4;
  expected += "7" + record.spec.trace.parent + "\x03" + record.spec.trace.state;  // 55 bytes, 3 bytes
  EXPECT_EQ(opened(stored(record)), expected);
  EXPECT_EQ(decode_task(sealed(expected)).value(), record);
}

TEST(RecordBytes, ARecordOfVersion3IsReadAndHasNoTrace) {
  const auto [record, bytes] = written_down_3();
  const auto decoded = decode_task(sealed(bytes));
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded.value(), record);
  EXPECT_EQ(stored(decoded.value())[0], 4) << "it is written anew in the newest form";
  expect_corrupt(decode_task(sealed(bytes + std::string("\x00\x00", 2))), "2 bytes are left over");
}

TEST(RecordBytes, ARecordOfVersion2IsReadAndHasNoParameters) {
  const auto [record, bytes] = written_down_2();
  const auto decoded = decode_task(sealed(bytes));
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded.value(), record);
  EXPECT_EQ(stored(decoded.value())[0], 4) << "it is written anew in the newest form";
}

TEST(RecordBytes, ARecordOfVersion1IsReadAndHasNoCheckpoint) {
  const auto [record, bytes] = written_down();
  ASSERT_TRUE(record.spec.keep_checkpoints);
  ASSERT_FALSE(record.checkpoint.has_value());
  const auto decoded = decode_task(sealed(bytes));
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded.value(), record);
  EXPECT_EQ(stored(decoded.value())[0], 4) << "it is written anew in the newest form";
  std::string queue = opened(stored(QueueRecord{}));
  queue[0] = 1;
  EXPECT_EQ(decode_queue(sealed(queue)).value(), QueueRecord{});
  expect_corrupt(decode_task(sealed(bytes + std::string("\x01\x00\x00", 3))), "3 bytes are left over");
}

TEST(RecordBytesDeathTest, AValueThatCouldNotBeLoadedIsNeverStored) {
  TaskRecord record;
  record.spec.priority = limits::kPriorityMax + 1;
  EXPECT_DEATH((void)stored(record), "priority");
  record = {};
  record.spec.queue = std::string(limits::kNameBytesMax + 1, 'q');
  EXPECT_DEATH((void)stored(record), "queue");
  record = {};
  record.enqueued_at = Instant(Duration(-1));
  EXPECT_DEATH((void)stored(record), "enqueued_at");
  record = {};
  record.spec.delay = Duration(-1);
  EXPECT_DEATH((void)stored(record), "delay");
  record = {};
  record.errors.resize(limits::kErrorsKept + 1);
  EXPECT_DEATH((void)stored(record), "errors");
  record = {};
  record.checkpoint = Checkpoint{0, std::string(limits::kCheckpointBytes, 'd'), Instant(Duration(1))};
  EXPECT_DEATH((void)stored(record), "checkpoint.iterations");
}

}  // namespace
}  // namespace skep
