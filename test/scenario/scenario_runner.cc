// SPDX-License-Identifier: Apache-2.0
#include "scenario_runner.h"

#include <sstream>

namespace skep::scenario {
namespace {

using queue::Blob;

Blob blob(const std::string& text) {
  return std::make_shared<const std::string>(text);
}

std::string rest_of(const std::vector<std::string>& words, std::size_t from) {
  std::string text;
  for (std::size_t i = from; i < words.size(); ++i) text += (i > from ? " " : "") + words[i];
  return text;
}

// "name=value" words after `from`.
std::map<std::string, std::string> options_of(const std::vector<std::string>& words, std::size_t from) {
  std::map<std::string, std::string> options;
  for (std::size_t i = from; i < words.size(); ++i) {
    const auto equals = words[i].find('=');
    if (equals != std::string::npos) options[words[i].substr(0, equals)] = words[i].substr(equals + 1);
  }
  return options;
}

Duration duration(const std::string& text) {
  return parse_duration(text).value();
}

class Loader final : public store::RecordSink {
 public:
  explicit Loader(queue::Shard& shard) : shard_(shard) {}
  void on_queue(QueueRecord record) override { shard_.load(std::move(record)); }
  void on_task(TaskRecord record) override { shard_.load(std::move(record)); }

 private:
  queue::Shard& shard_;
};

std::string refusal(const Error& error) {
  return "refused: " + std::string(code_name(error.code));
}

}  // namespace

Runner::Runner() {
  load();
}

void Runner::load() {
  const Epoch epoch = tables_.claim(0).value();
  shard_ = std::make_unique<queue::Shard>(0, epoch, Random(5), queue::ShardOptions{});
  Loader loader(*shard_);
  tables_.load(0, epoch, loader).value();
  shard_->finish_load(now_);
}

std::vector<std::string> Runner::run(const std::string& command) {
  std::istringstream stream(command);
  Words words;
  for (std::string word; stream >> word;) words.push_back(word);
  const std::string verb = words.empty() ? "" : words[0];
  Lines lines;
  if (verb == "enqueue")
    lines = enqueue(words);
  else if (verb == "lease")
    lines = lease(words);
  else if (verb == "start" || verb == "extend")
    lines = extend(words, verb == "start");
  else if (verb == "checkpoint")
    lines = checkpoint(words);
  else if (verb == "complete" || verb == "fail" || verb == "fail-for-good")
    lines = finish_attempt(words);
  else if (verb == "release" || verb == "lose")
    lines = give_back(words);
  else if (verb == "cancel" || verb == "retry")
    lines = by_hand(words);
  else if (verb == "pull" || verb == "pull-receipt" || verb == "ack")
    lines = results(words);
  else if (verb == "queue")
    lines = set_queue(words);
  else if (verb == "pass")
    lines = pass(words);
  else if (verb == "crash")
    return crash(words);
  else if (verb == "show")
    lines = show(words);
  else if (verb == "counts")
    lines = counts();
  else
    return {"error: unknown command '" + verb + "'"};
  commit(lines);
  shard_->check_invariants();
  return lines;
}

// As the shard host does: the changes of one command are one commit, synced if any of them needs it.
void Runner::commit(Lines& lines) {
  store::ShardBatch batch{0, shard_->epoch(), {}};
  for (auto& change : effects_.changes) {
    if (auto* put = std::get_if<queue::PutTask>(&change)) {
      batch.mutations.push_back(store::PutTask{put->record, put->body, put->result});
    } else if (auto* body = std::get_if<queue::EraseBody>(&change)) {
      batch.mutations.push_back(store::EraseBody{body->id});
    } else if (auto* erase = std::get_if<queue::EraseTask>(&change)) {
      batch.mutations.push_back(store::EraseTask{erase->id});
    } else {
      batch.mutations.push_back(store::PutQueue{std::get<queue::PutQueue>(change).record});
    }
  }
  const auto sync = effects_.needs_sync ? store::Sync::kDurable : store::Sync::kSoft;
  effects_ = {};
  if (batch.mutations.empty()) return;
  if (auto applied = tables_.apply({batch}, sync); !applied) lines.push_back(refusal(applied.error()));
}

std::vector<std::string> Runner::enqueue(const Words& words) {
  TaskSpec spec;
  spec.iterations = 1;
  for (const auto& [name, value] : options_of(words, 2)) {
    if (name == "queue") spec.queue = value;
    if (name == "iterations") spec.iterations = std::stoull(value);
    if (name == "checkpoints") spec.keep_checkpoints = value == "yes";
    if (name == "priority") spec.priority = static_cast<std::uint32_t>(std::stoul(value));
    if (name == "attempts") spec.attempts_max = static_cast<std::uint32_t>(std::stoul(value));
    if (name == "delay") spec.delay = duration(value);
    if (name == "deadline") spec.start_deadline = duration(value);
    if (name == "timeout") spec.run_timeout = duration(value);
    if (name == "key") spec.idempotency_key = value;
    if (name == "program") {
      spec.kind = "command";
      spec.program = value;
      spec.iterations = 0;
    }
  }
  const auto reply = shard_->apply(queue::Enqueue{{{spec, blob("body of " + words.at(1))}}}, now_, effects_);
  if (!reply) return {refusal(reply.error())};
  const auto& task = reply.value().front();
  if (task.is_existing)
    return {words.at(1) + " is " + name_of(task.id) + ", " + std::string(state_name(task.state))};
  tasks_[words[1]] = task.id;
  names_[task.id] = words[1];
  return {words[1] + " " + std::string(state_name(task.state))};
}

std::vector<std::string> Runner::lease(const Words& words) {
  queue::Lease command;
  command.worker = words.at(1);
  command.max = words.size() > 2 ? static_cast<std::uint32_t>(std::stoul(words[2])) : 1;
  command.kinds = {"sha512", "command"};
  command.programs = {"prog"};
  Lines lines;
  for (const auto& task : shard_->apply(command, now_, effects_)) {
    tokens_[name_of(task.token)] = task.token;
    lines.push_back(name_of(task.token) +
                    (task.checkpoint ? " after " + std::to_string(task.checkpoint->iterations) : ""));
  }
  if (lines.empty()) lines.push_back("nothing");
  return lines;
}

// "400" is the digest after so many iterations; "" is none.
queue::Progress Runner::progress(const std::string& done) {
  if (done.empty()) return {};
  return {std::stoull(done), std::string(limits::kCheckpointBytes, 'd')};
}

std::vector<std::string> Runner::checkpoint(const Words& words) {
  queue::Extend command{words.at(1), seconds(15), {{token(words.at(2)), true, progress(words.at(3))}}};
  const auto reply = shard_->apply(command, now_, effects_);
  if (!reply.lost.empty()) return {words[2] + " lost"};
  return {reply.refused.empty() ? "ok" : "refused: " + reply.refused.front().why};
}

std::vector<std::string> Runner::extend(const Words& words, bool is_started) {
  queue::Extend command{words.at(1), seconds(15), {}};
  for (std::size_t i = 2; i < words.size(); ++i) command.leases.push_back({token(words[i]), is_started});
  const auto reply = shard_->apply(command, now_, effects_);
  Lines lines;
  for (const auto& lost : reply.lost) lines.push_back(name_of(lost) + " lost");
  for (const auto& cancelled : reply.cancelled) lines.push_back(name_of(cancelled) + " cancelled");
  if (lines.empty()) lines.push_back("ok");
  return lines;
}

std::vector<std::string> Runner::finish_attempt(const Words& words) {
  const auto lease = token(words.at(1));
  if (words[0] == "complete") {
    const auto reply = shard_->apply(queue::Complete{"w", lease, blob(rest_of(words, 2))}, now_, effects_);
    if (!reply) return {refusal(reply.error())};
    return {reply.value().is_duplicate ? "ok, again" : "ok"};
  }
  const auto reply = shard_->apply(
      queue::Fail{"w", lease, rest_of(words, 2), words[0] == "fail-for-good", false}, now_, effects_);
  if (!reply) return {refusal(reply.error())};
  return {names_.at(lease.task) + " " + std::string(state_name(reply.value().state))};
}

std::vector<std::string> Runner::give_back(const Words& words) {
  if (words[0] == "lose") {
    const auto slots = static_cast<std::uint32_t>(std::stoul(words.at(2)));
    const auto reply = shard_->apply(queue::LoseWorker{words.at(1), slots, "it is gone"}, now_, effects_);
    return {std::to_string(reply.returned) + " returned"};
  }
  const bool is_started = words.size() > 2 && words[2] == "started";
  const auto reply = shard_->apply(
      queue::Release{"w", token(words.at(1)), is_started, progress(words.size() > 3 ? words[3] : "")}, now_,
      effects_);
  return {reply ? std::string(state_name(reply.value().state)) : refusal(reply.error())};
}

std::vector<std::string> Runner::by_hand(const Words& words) {
  const auto id = task(words.at(1));
  const auto reply = words[0] == "cancel" ? shard_->apply(queue::Cancel{id}, now_, effects_)
                                          : shard_->apply(queue::Retry{id}, now_, effects_);
  return {reply ? words[1] + " " + std::string(state_name(reply.value().state)) : refusal(reply.error())};
}

std::vector<std::string> Runner::results(const Words& words) {
  const auto number = std::stoull(words.at(1));
  if (words[0] == "ack") {
    return {std::to_string(shard_->apply(queue::Ack{number, {}}, now_, effects_).delivered.size()) +
            " acknowledged"};
  }
  queue::Pull pull;
  pull.max = static_cast<std::uint32_t>(number);
  const auto reply = shard_->apply(pull, now_, effects_);
  const bool is_receipt_shown = words[0] == "pull-receipt";
  if (!is_receipt_shown) shard_->apply(queue::Ack{reply.receipt, {}}, now_, effects_);
  Lines lines;
  for (const auto& item : reply.items) {
    const auto blobs = tables_.read({{store::BlobKind::kResult, item.id}});
    lines.push_back(name_of(item.id) + " = " + (blobs[0] ? *blobs[0] : "(gone)"));
  }
  if (is_receipt_shown && reply.receipt != 0) lines.push_back("receipt " + std::to_string(reply.receipt));
  if (lines.empty()) lines.push_back("nothing");
  return lines;
}

std::vector<std::string> Runner::set_queue(const Words& words) {
  QueueRecord record;
  if (const auto* known = shard_->find_queue(words.at(1))) record = *known;
  record.name = words[1];
  for (const auto& [name, value] : options_of(words, 2)) {
    if (name == "paused") record.is_paused = value == "yes";
    if (name == "depth") record.depth_max = std::stoull(value);
    if (name == "leased") record.leased_max = std::stoull(value);
    if (name == "retention") record.retention = duration(value);
  }
  const auto reply = shard_->apply(queue::SetQueue{record}, now_, effects_);
  return {reply ? "ok" : refusal(reply.error())};
}

std::vector<std::string> Runner::pass(const Words& words) {
  now_ += duration(words.at(1));
  shard_->tick(now_, 1'000'000, effects_);
  Lines lines;
  for (const auto& notice : effects_.notices) {
    lines.push_back(name_of(notice.id) + " " + std::string(queue::notice_name(notice.kind)) +
                    (notice.detail.empty() ? "" : ": " + notice.detail));
  }
  for (const auto& change : effects_.changes) {
    if (const auto* erase = std::get_if<queue::EraseTask>(&change))
      lines.push_back(name_of(erase->id) + " forgotten");
  }
  if (lines.empty()) lines.push_back("nothing");
  return lines;
}

std::vector<std::string> Runner::crash(const Words& words) {
  tables_.crash(words.size() > 1 && words[1] == "lose-soft" ? 0 : tables_.soft_commits());
  load();
  return {"epoch " + std::to_string(shard_->epoch()) + ", " + std::to_string(shard_->size()) + " tasks"};
}

std::vector<std::string> Runner::show(const Words& words) {
  Lines lines;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const auto record = shard_->find(task(words[i]));
    lines.push_back(words[i] + " " + (record ? describe(*record) : "is gone"));
    if (!record) continue;
    for (const auto& error : record->errors) {
      lines.push_back("  attempt " + std::to_string(error.number) + " " +
                      std::string(attempt_end_name(error.end)) + ": " + error.message);
    }
  }
  return lines;
}

std::string Runner::describe(const TaskRecord& record) const {
  std::string text(state_name(record.state));
  text +=
      " attempts=" + std::to_string(record.attempts_failed) + "/" + std::to_string(record.spec.attempts_max);
  text += " lost=" + std::to_string(record.workers_lost);
  if (record.state == TaskState::kLeased) text += " worker=" + record.worker;
  if (!record.reason.empty()) text += " (" + record.reason + ")";
  return text;
}

std::vector<std::string> Runner::counts() {
  const auto& counts = shard_->counts();
  std::string text;
  for (const TaskState state : {TaskState::kDelayed, TaskState::kQueued, TaskState::kLeased, TaskState::kDone,
                                TaskState::kDead, TaskState::kCancelled}) {
    if (counts.of(state) > 0)
      text += std::string(state_name(state)) + "=" + std::to_string(counts.of(state)) + " ";
  }
  return {text.empty() ? "empty" : text.substr(0, text.size() - 1)};
}

std::string Runner::name_of(const TaskId& id) const {
  const auto found = names_.find(id);
  return found == names_.end() ? id.to_string() : found->second;
}

// The epoch stands in it only where it is not the first.
std::string Runner::name_of(const LeaseToken& token) const {
  return name_of(token.task) + "." + (token.epoch == 1 ? "" : "e" + std::to_string(token.epoch) + ".") +
         std::to_string(token.number);
}

TaskId Runner::task(const std::string& name) const {
  const auto found = tasks_.find(name);
  return found == tasks_.end() ? TaskId{} : found->second;
}

LeaseToken Runner::token(const std::string& name) const {
  const auto found = tokens_.find(name);
  return found == tokens_.end() ? LeaseToken{task(name.substr(0, name.find('.'))), 1, 99} : found->second;
}

}  // namespace skep::scenario
