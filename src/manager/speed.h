// SPDX-License-Identifier: Apache-2.0
// speed.h - what was learned of how long work takes, and how much arrives, by class of task.
//
// A class is what a queue's tasks of one kind are and, of kind command, of one program. Its work is counted
// in units: for sha512 compressions of one slot, one for each iteration and one for each 128 bytes of body;
// else tasks. What a unit takes is an exponentially weighted mean of what workers reported; of a class that
// has finished nothing yet it is that of the wider class: the same program in any queue, then the kind in any
// queue, then all but sha512, then what is believed beforehand.
//
// At most kClassesMax are known. One more takes the place of the one that was used least lately; what of that
// still arrives is remembered together.
//
// Threads:   one executor at a time.
// Units:     seconds of one slot.
// Cost:      constant; nothing is looked up while tasks are of the class of the one before.
#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>

#include "queue/command.h"

namespace skep::manager {

class Speed {
 public:
  static constexpr std::size_t kClassesMax = 1'024;

  // Of one task.
  static double units(const std::string& kind, std::uint64_t iterations, std::uint64_t bytes);

  // So many units of the class have arrived; or have taken `run` seconds, as one task.
  void arrived(const std::string& queue, const std::string& kind, const std::string& program, double units);
  void learn(const std::string& queue, const std::string& kind, const std::string& program, double units,
             double run);
  // `dt` seconds have passed since the last call: what arrived in them goes into the rates.
  void pass(double dt);

  double unit_seconds(const std::string& queue, const std::string& kind, const std::string& program) const;
  double seconds(const std::string& queue, const std::string& kind, const std::string& program,
                 const queue::Work& work) const;
  // How many tasks of exactly that class have taught it; 0 where it is not known.
  std::uint64_t seen(const std::string& queue, const std::string& kind, const std::string& program) const;

  // `visit(queue, work that arrives each second)`; "" for that of classes that are known no more.
  template <class Visit>
  void visit_rates(Visit visit) const {
    static const std::string kNone;
    visit(kNone, forgotten_rate_);
    for (const Class& one : classes_) {
      if (one.rate > 0) visit(one.name.queue, one.rate * unit_seconds(one));
    }
  }
  std::size_t size() const { return classes_.size(); }

 private:
  struct Name {
    std::string queue;  // "": all of them, where it is a wider class
    std::string kind;
    std::string program;  // "": all of them, or a kind that has none

    bool operator==(const Name&) const = default;
  };
  struct NameHash {
    std::size_t operator()(const Name& name) const;
  };
  struct Class {
    Name name;
    double unit_seconds = 0;
    std::uint64_t seen = 0;
    double arrived = 0;  // units since the last pass()
    double rate = 0;     // units that arrive each second
  };
  using Classes = std::list<Class>;

  Class& use(const std::string& queue, const std::string& kind, const std::string& program);
  const Class* find(const Name& name) const;
  double unit_seconds(const Class& one) const {
    return one.seen > 0 ? one.unit_seconds : unit_seconds(one.name.queue, one.name.kind, one.name.program);
  }
  void forget_one();
  static void take_in_hashes(Class& one, double each, double run);
  static void take_in_task(Class& one, double run);

  Class hashes_;     // all of sha512
  Class others_;     // all the rest
  Classes classes_;  // the one used last first
  std::unordered_map<Name, Classes::iterator, NameHash> by_name_;
  double forgotten_arrived_ = 0;  // work of classes that are known no more, in seconds
  double forgotten_rate_ = 0;
};

}  // namespace skep::manager
