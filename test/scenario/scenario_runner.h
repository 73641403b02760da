// SPDX-License-Identifier: Apache-2.0
// scenario_runner.h - plays a text script of commands against one shard and prints what came of each.
//
// A script is lines. "> command" is run; the indented lines after it are what it is expected to print; "#" is
// a comment. Tasks are named by the script (t1), leases by task and attempt (t1.1). The commands:
//   enqueue NAME [queue= priority= attempts= delay= deadline= timeout= key= kind= program= iterations=
//   checkpoints=]
//   lease WORKER [N]          start WORKER LEASE...      extend WORKER LEASE...
//   complete LEASE RESULT     fail LEASE MESSAGE         fail-for-good LEASE MESSAGE
//   checkpoint WORKER LEASE DONE                         release LEASE [started [DONE]]
//   lose WORKER SLOTS         cancel NAME                retry NAME
//   pull N                    pull-receipt N             ack RECEIPT      queue NAME [paused= depth= leased=
//   retention=] pass DURATION             crash [lose-soft]          show NAME...     counts
//
// Threads:   one executor at a time.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "queue/shard.h"
#include "store/memory_tables.h"

namespace skep::scenario {

class Runner {
 public:
  Runner();

  // The lines that `command` (without "> ") prints; one line "error: ..." if the script itself is wrong.
  std::vector<std::string> run(const std::string& command);

 private:
  using Words = std::vector<std::string>;
  using Lines = std::vector<std::string>;

  Lines enqueue(const Words& words);
  Lines lease(const Words& words);
  Lines extend(const Words& words, bool is_started);
  Lines checkpoint(const Words& words);
  static queue::Progress progress(const std::string& done);
  Lines finish_attempt(const Words& words);
  Lines give_back(const Words& words);
  Lines by_hand(const Words& words);
  Lines results(const Words& words);
  Lines set_queue(const Words& words);
  Lines pass(const Words& words);
  Lines crash(const Words& words);
  Lines show(const Words& words);
  Lines counts();

  void commit(Lines& lines);
  void load();
  std::string name_of(const TaskId& id) const;
  std::string name_of(const LeaseToken& token) const;
  TaskId task(const std::string& name) const;
  LeaseToken token(const std::string& name) const;
  std::string describe(const TaskRecord& record) const;

  Instant now_ = Instant(hours(24 * 365 * 50));
  store::MemoryTables tables_{1};
  std::unique_ptr<queue::Shard> shard_;
  queue::Effects effects_;
  std::map<std::string, TaskId> tasks_;
  std::map<TaskId, std::string> names_;
  std::map<std::string, LeaseToken> tokens_;
};

}  // namespace skep::scenario
