// SPDX-License-Identifier: Apache-2.0
// live.h - the whole state each second, for those who watch, and what it was in the last minutes.
//
// The state is asked for once a second, however many watch, and every other second while nobody does. So a
// viewer costs a line of text a second, whatever there is to be seen.
//
// Threads:   one executor; viewers are called on it.
// Ownership: borrows the executor, which must outlive it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "api/skep.pb.h"
#include "base/executor.h"
#include "manager/messages.h"
#include "manager/service.h"

namespace skep::manager {

class Live {
 public:
  static constexpr Duration kTick = seconds(1);
  static constexpr std::size_t kTicksPerSample = 2;
  static constexpr std::size_t kSamplesMax = 600;  // 20 minutes; up to twice that is kept

  // The state of all managers, at once or a little later.
  using Ask = std::function<void(Reply<api::v1::ClusterReply> reply)>;
  // Gets server-sent events as they go out. False: it is gone and is forgotten.
  using Viewer = std::function<bool(const std::string& event)>;

  Live(Executor& executor, Ask ask);
  ~Live();
  Live(const Live&) = delete;
  Live& operator=(const Live&) = delete;

  void start();
  // Gets the head at once, the last state if there is one, and each one from then on.
  void watch(const std::string& role, Viewer viewer);

 private:
  void tick();
  void take(api::v1::ClusterReply state);
  void remember(const api::v1::ClusterReply& state);

  Executor& executor_;
  Ask ask_;
  TimerId timer_ = 0;
  std::uint64_t ticks_ = 0;
  bool is_sample_due_ = false;
  bool is_asking_ = false;
  std::string last_;  // state, as an event
  api::v1::History history_;
  std::map<std::uint64_t, Viewer> viewers_;
  std::uint64_t next_viewer_ = 1;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace skep::manager
