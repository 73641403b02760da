// SPDX-License-Identifier: Apache-2.0
// manager_book.h - the managers that a worker was told of: by its operator, and by managers since.
//
// Threads:   value; one executor at a time.
// Errors:    make: kInvalid with a sentence. What a manager says and nobody can parse is passed over.
#pragma once

#include <string>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "client/client.h"

namespace skep::worker {

class ManagerBook {
 public:
  static constexpr std::size_t kManagersMax = 64;

  // `urls`: the operator's, at least one.
  static Result<ManagerBook> make(const std::vector<std::string>& urls);

  // Adds what is new of `names` (HOST:PORT). Only what managers say now is kept beside the operator's own.
  // True if the list changed.
  bool learn(const std::vector<std::string>& names);

  // The operator's first, each once.
  const std::vector<http::Url>& urls() const { return urls_; }
  std::size_t own_count() const { return own_; }
  // HOST:PORT is one of the operator's.
  bool is_own(const std::string& host_port) const;
  // The one with that HOST:PORT; the first if there is none.
  const http::Url& find(const std::string& host_port) const;
  // The operator's in another order: which of them a worker begins at.
  void shuffle(Random& random);

 private:
  std::size_t own_ = 0;  // how many of urls_ are the operator's
  std::vector<http::Url> urls_;
};

}  // namespace skep::worker
