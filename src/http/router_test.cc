// SPDX-License-Identifier: Apache-2.0
// Which route a path finds, what its parameters are, and what is said about a method that it does not have.
#include "http/router.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>

namespace skep::http {
namespace {

using Kind = RouteMatch::Kind;

Router make_router() {
  Router router;
  router.add(Method::kGet, "/", 0);
  router.add(Method::kPost, "/v1/tasks", 1);
  router.add(Method::kGet, "/v1/tasks", 2);
  router.add(Method::kGet, "/v1/tasks/{id}", 3);
  router.add(Method::kDelete, "/v1/tasks/{id}", 4);
  router.add(Method::kPost, "/v1/tasks/{id}:retry", 5);
  router.add(Method::kGet, "/v1/tasks/{id}/result", 6);
  router.add(Method::kPost, "/v1/leases:acquire", 7);
  router.add(Method::kPost, "/v1/tasks:batch", 8);
  router.add(Method::kGet, "/{a}/x-{b}-y/{c}", 9);
  return router;
}

TEST(Router, FindsLiteralPaths) {
  const Router router = make_router();
  EXPECT_EQ(router.match(Method::kGet, "/").route, 0u);
  EXPECT_EQ(router.match(Method::kPost, "/v1/tasks").route, 1u);
  EXPECT_EQ(router.match(Method::kGet, "/v1/tasks").route, 2u);
  EXPECT_EQ(router.match(Method::kPost, "/v1/leases:acquire").route, 7u);
  EXPECT_EQ(router.match(Method::kPost, "/v1/tasks:batch").route, 8u);
}

TEST(Router, GivesParametersByName) {
  const Router router = make_router();
  const RouteMatch task = router.match(Method::kGet, "/v1/tasks/3-1-42");
  EXPECT_EQ(task.kind, Kind::kFound);
  EXPECT_EQ(task.route, 3u);
  EXPECT_EQ(task.parameter("id"), "3-1-42");
  EXPECT_EQ(task.parameter("other"), "");

  const RouteMatch three = router.match(Method::kGet, "/one/x-two-y/three");
  EXPECT_EQ(three.route, 9u);
  EXPECT_EQ(three.parameter("a"), "one");
  EXPECT_EQ(three.parameter("b"), "two");
  EXPECT_EQ(three.parameter("c"), "three");
}

TEST(Router, PrefersTheTemplateWithMoreLiteralText) {
  const Router router = make_router();
  const RouteMatch retry = router.match(Method::kPost, "/v1/tasks/7:retry");
  EXPECT_EQ(retry.route, 5u);
  EXPECT_EQ(retry.parameter("id"), "7");
  EXPECT_EQ(router.match(Method::kGet, "/v1/tasks/7:other").parameter("id"), "7:other");
  // The verb decides, not the method.
  EXPECT_EQ(router.match(Method::kGet, "/v1/tasks/7:retry").kind, Kind::kMethodNotAllowed);
}

TEST(Router, TriesTheParameterWhereTheLiteralLeadsNowhere) {
  Router router;
  router.add(Method::kGet, "/a/b", 1);
  router.add(Method::kGet, "/{x}/c", 2);
  EXPECT_EQ(router.match(Method::kGet, "/a/b").route, 1u);
  const RouteMatch match = router.match(Method::kGet, "/a/c");
  EXPECT_EQ(match.route, 2u);
  EXPECT_EQ(match.parameter("x"), "a");
  EXPECT_EQ(match.parameters.size(), 1u);
}

TEST(Router, NotFoundForPathsOfNoTemplate) {
  const Router router = make_router();
  for (const char* path : {"", "x", "/v1", "/v1/", "/v1/tasks/", "/v1/tasks//result", "/v1/tasks/1/result/",
                           "/v2/tasks", "/V1/tasks", "//", "/v1/tasks/:retry/x"}) {
    EXPECT_EQ(router.match(Method::kGet, path).kind, Kind::kNotFound) << path;
  }
}

TEST(Router, TellsTheMethodsOfAPathThatHasNotThisOne) {
  const Router router = make_router();
  const RouteMatch match = router.match(Method::kPut, "/v1/tasks/1");
  EXPECT_EQ(match.kind, Kind::kMethodNotAllowed);
  EXPECT_EQ(match.allow, "GET, HEAD, DELETE");
  EXPECT_EQ(router.match(Method::kOther, "/v1/leases:acquire").allow, "POST");
}

TEST(Router, HeadFindsTheGetRoute) {
  const Router router = make_router();
  EXPECT_EQ(router.match(Method::kHead, "/v1/tasks/1").route, 3u);
  EXPECT_EQ(router.match(Method::kHead, "/v1/leases:acquire").kind, Kind::kMethodNotAllowed);
}

TEST(RouterDeathTest, MalformedTemplatesAndDoublesAbort) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  Router router;
  router.add(Method::kGet, "/a/{x}", 1);
  EXPECT_DEATH(router.add(Method::kGet, "/a/{x}", 2), "added twice");
  EXPECT_DEATH(router.add(Method::kGet, "a", 2), "begins with");
  EXPECT_DEATH(router.add(Method::kGet, "/{a}{b}", 2), "malformed parameter");
  EXPECT_DEATH(router.add(Method::kGet, "/{}", 2), "malformed parameter");
  EXPECT_DEATH(router.add(Method::kGet, "/}{", 2), "malformed parameter");
  EXPECT_DEATH(router.add(Method::kOther, "/", 2), "needs a method");
}

RC_GTEST_PROP(Router, AnswersEveryPathWithoutCrashing, (const std::string& path)) {
  static const Router router = make_router();
  const RouteMatch match = router.match(Method::kGet, "/" + path);
  for (const auto& [name, value] : match.parameters) {
    RC_ASSERT(!value.empty());
    RC_ASSERT(value.find('/') == std::string::npos);
  }
}

RC_GTEST_PROP(Router, FindsEveryIdWithoutSlashOrColon, ()) {
  const auto id = *rc::gen::nonEmpty(rc::gen::container<std::string>(rc::gen::inRange('0', 'z')));
  RC_PRE(id.find(':') == std::string::npos);
  static const Router router = make_router();
  RC_ASSERT(router.match(Method::kGet, "/v1/tasks/" + id).parameter("id") == id);
  RC_ASSERT(router.match(Method::kPost, "/v1/tasks/" + id + ":retry").parameter("id") == id);
  RC_ASSERT(router.match(Method::kGet, "/v1/tasks/" + id + "/result").route == 6);
}

TEST(Router, HeadDoesNotFindAGetThatChangesSomething) {
  Router router;
  router.add(Method::kGet, "/take", 1, Router::Head::kNone);
  router.add(Method::kGet, "/look", 2);
  EXPECT_EQ(router.match(Method::kHead, "/look").route, 2u);
  const auto match = router.match(Method::kHead, "/take");
  EXPECT_EQ(match.kind, RouteMatch::Kind::kMethodNotAllowed);
  EXPECT_EQ(match.allow, "GET");
}

}  // namespace
}  // namespace skep::http
