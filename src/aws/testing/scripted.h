// SPDX-License-Identifier: Apache-2.0
// scripted.h - for tests: AWS that answers by a list, a clock that moves only while somebody waits, an
// environment from tables.
//
// Threads:   one.
// Ownership: values; the parts borrow from a World.
#pragma once

#include <deque>
#include <map>

#include "aws/credentials.h"

namespace skep::aws::testing {

class ScriptedTransport final : public Transport {
 public:
  explicit ScriptedTransport(const Instant& now) : now_(now) {}

  Result<HttpResponse> exchange(const HttpRequest& request, Duration timeout) override {
    requests.push_back(request);
    at.push_back(now_);
    timeouts.push_back(timeout);
    if (answers.empty()) return fail(Code::kUnavailable, "nobody listens");
    auto answer = std::move(answers.front());
    answers.pop_front();
    return answer;
  }

  void answer(int status, std::string body, Pairs headers = {}) {
    answers.emplace_back(HttpResponse{status, std::move(headers), std::move(body)});
  }

  std::deque<Result<HttpResponse>> answers;
  std::vector<HttpRequest> requests;
  std::vector<Instant> at;
  std::vector<Duration> timeouts;

 private:
  const Instant& now_;
};

class ScriptedTime final : public Clock, public Pauses {
 public:
  Instant now() const override { return at; }
  void pause(Duration duration) override {
    at += duration;
    pauses.push_back(duration);
  }
  Instant at{seconds(1'800'000'000)};  // 2027-01-15T08:00:00Z
  std::vector<Duration> pauses;
};

struct World {
  std::map<std::string, std::string> variables{{"HOME", "/h"}};
  std::map<std::string, std::string> files;
  std::map<std::string, std::string> programs;
  ScriptedTime time;
  ScriptedTransport transport{time.at};
  Environment environment{[this](const std::string& name) {
                            return variables.contains(name) ? variables.at(name) : std::string();
                          },
                          [this](const std::string& path) -> Result<std::string> {
                            if (!files.contains(path))
                              return fail(Code::kNotFound, "there is no file " + path);
                            return files.at(path);
                          },
                          [this](const std::string& command) -> Result<std::string> {
                            if (!programs.contains(command))
                              return fail(Code::kInvalid, "the program failed");
                            return programs.at(command);
                          }};
  FixedCredentials credentials{{"AKID", "very secret", "", kNever}};

  ClientParts client_parts() { return {transport, time, time, credentials, environment, "eu-central-1", 1}; }
  FinderParts finder_parts(std::string profile = "") {
    return {transport, time, time, environment, std::move(profile), "eu-central-1", 1};
  }
};

}  // namespace skep::aws::testing
