// SPDX-License-Identifier: Apache-2.0
// token: make, import, list, rotate and revoke tokens, at a manager or in a store.
#include <algorithm>
#include <cstdio>

#include "api/convert.h"
#include "api/errors.h"
#include "api/json.h"
#include "cli/context.h"
#include "cli/output.h"
#include "cli/serve.h"
#include "cli/token_file.h"
#include "manager/token_guard.h"
#include "task/token_import.h"

namespace skep::cli {
namespace {

namespace v1 = api::v1;

constexpr Duration kCallTimeout = seconds(30);

struct TokenOptions {
  std::string action;
  std::string id;
  std::string role;
  std::string name;
  std::string store;
  std::string out;
  Duration expires{};
  Duration overlap = hours(1);
};

v1::CreateTokenReply message_of(const manager::TokenGuard::Made& made, Instant now) {
  v1::CreateTokenReply reply;
  reply.set_secret(made.first);
  api::from_token(made.second, now, *reply.mutable_token());
  return reply;
}

// Where tokens are: a manager, or a store. The same calls to both.
class Tokens {
 public:
  virtual ~Tokens() = default;
  virtual Result<v1::TokensReply> list() = 0;
  virtual Result<v1::CreateTokenReply> create(const TokenOptions& options) = 0;
  virtual Result<v1::CreateTokenReply> rotate(const std::string& id, Duration overlap) = 0;
  virtual Result<v1::Token> revoke(const std::string& id) = 0;
};

class StoreTokens final : public Tokens {
 public:
  explicit StoreTokens(std::unique_ptr<store::TokenStore> store) : store_(std::move(store)) {}

  Result<v1::TokensReply> list() override {
    SKEP_TRY(const auto listed, store_->list());
    v1::TokensReply reply;
    for (const auto& record : listed) api::from_token(record, clock_.now(), *reply.add_tokens());
    return reply;
  }
  Result<v1::CreateTokenReply> create(const TokenOptions& options) override {
    const Instant now = clock_.now();
    SKEP_TRY(check_token_name(options.name));
    const Instant end = options.expires > Duration::zero() ? add_saturated(now, options.expires) : kNever;
    const auto made = make_token(*parse_role(options.role), options.name, now, end);
    SKEP_TRY(store_->add(made.second));
    return message_of(made, now);
  }
  Result<v1::CreateTokenReply> rotate(const std::string& id, Duration overlap) override {
    SKEP_TRY(const auto made, manager::rotate_token(*store_, id, overlap, clock_.now()));
    return message_of(made, clock_.now());
  }
  Result<v1::Token> revoke(const std::string& id) override {
    SKEP_TRY(const auto record, store_->end(id, clock_.now(), store::TokenEnd::kRevoked));
    v1::Token token;
    api::from_token(record, clock_.now(), token);
    return token;
  }

 private:
  SystemClock clock_;
  std::unique_ptr<store::TokenStore> store_;
};

class ManagerTokens final : public Tokens {
 public:
  explicit ManagerTokens(std::unique_ptr<Remote> remote) : remote_(std::move(remote)) {}

  Result<v1::TokensReply> list() override {
    return wait<v1::TokensReply>([](client::Client& client, client::CallOptions call, auto done) {
      client.tokens(call, std::move(done));
    });
  }
  Result<v1::CreateTokenReply> create(const TokenOptions& options) override {
    v1::CreateTokenRequest request;
    request.set_role(options.role);
    request.set_name(options.name);
    request.set_expires_in_ms(static_cast<std::uint64_t>(options.expires / milliseconds(1)));
    return wait<v1::CreateTokenReply>([request](client::Client& client, client::CallOptions call, auto done) {
      client.create_token(request, call, std::move(done));
    });
  }
  Result<v1::CreateTokenReply> rotate(const std::string& id, Duration overlap) override {
    v1::RotateTokenRequest request;
    request.set_overlap_ms(static_cast<std::uint64_t>(overlap / milliseconds(1)));
    return wait<v1::CreateTokenReply>(
        [id, request](client::Client& client, client::CallOptions call, auto done) {
          client.rotate_token(id, request, call, std::move(done));
        });
  }
  Result<v1::Token> revoke(const std::string& id) override {
    return wait<v1::Token>([id](client::Client& client, client::CallOptions call, auto done) {
      client.revoke_token(id, call, std::move(done));
    });
  }

 private:
  template <class T, class Start>
  Result<T> wait(Start start) {
    return remote_->wait<T>([this, start = std::move(start)](client::Client& client, auto done) {
      start(client, remote_->within(kCallTimeout), std::move(done));
    });
  }

  std::unique_ptr<Remote> remote_;
};

Result<std::unique_ptr<Tokens>> connect(const Context& context, const TokenOptions& options) {
  if (options.store.empty()) {
    SKEP_TRY(auto remote, Remote::connect(context));
    return std::unique_ptr<Tokens>(std::make_unique<ManagerTokens>(std::move(remote)));
  }
  if (options.store == "memory:") {
    return fail(Code::kInvalid, "--store memory: is within its manager: there is nothing to reach");
  }
  SKEP_TRY(auto store, open_tokens(options.store));
  return std::unique_ptr<Tokens>(std::make_unique<StoreTokens>(std::move(store)));
}

std::string describe_end(const v1::Token& token) {
  if (token.expires_at_ms() < 0) return "never";
  return format_instant(from_unix_ms(token.expires_at_ms()));
}

// The secret goes to standard output, or into a file, and nowhere else.
Result<int> show_made(const Context& context, const TokenOptions& options, const v1::CreateTokenReply& made) {
  const auto& token = made.token();
  if (!options.out.empty()) {
    if (auto written = write_token_file(options.out, made.secret()); !written) {
      return fail(Code::kInvalid, written.error().message + "; token " + token.id() +
                                      " was made and nobody has it: revoke it, and try again");
    }
  }
  const std::string where = options.out.empty() ? "it is shown only now" : "it is in " + options.out;
  if (context.is_json) {
    v1::CreateTokenReply shown = made;
    if (!options.out.empty()) shown.clear_secret();
    std::printf("%s\n", api::to_json(shown).c_str());
  } else {
    if (options.out.empty()) std::printf("%s\n", made.secret().c_str());
    std::fprintf(stderr, "token %s, role %s, expires %s: %s\n", token.id().c_str(), token.role().c_str(),
                 describe_end(token).c_str(), where.c_str());
  }
  return api::kExitOk;
}

void show_list(const Context& context, const v1::TokensReply& tokens) {
  if (context.is_json) {
    std::printf("%s\n", api::to_json(tokens).c_str());
    return;
  }
  std::vector<std::vector<std::string>> rows{{"ID", "ROLE", "STATE", "CREATED", "EXPIRES", "NAME"}};
  for (const auto& token : tokens.tokens()) {
    rows.push_back({token.id(), token.role(), token.state(),
                    format_instant(from_unix_ms(token.created_at_ms())), describe_end(token), token.name()});
  }
  std::fputs(table(rows).c_str(), stdout);
}

// A token that was made elsewhere, so that several stores accept the same one. Doing it again changes
// nothing, also when it has been revoked since.
Result<int> import_token(const Context& context, const TokenOptions& options) {
  SKEP_TRY(check_token_name(options.name));
  SKEP_TRY(const std::string token, read_token(context.access.token_file));
  SKEP_TRY(auto store, open_tokens(options.store));
  const SystemClock clock;
  SKEP_TRY(const auto record, record_of(token, *parse_role(options.role), options.name, clock.now()));
  const auto added = store->add(record);
  bool is_there = false;
  if (!added) {
    if (added.error().code != Code::kConflict) return added.error();
    SKEP_TRY(const auto listed, store->list());
    is_there = std::any_of(listed.begin(), listed.end(), [&](const TokenRecord& known) {
      return known.id == record.id && known.role == record.role &&
             is_secret_of(known, split_token(token)->secret);
    });
    if (!is_there)
      return fail(Code::kConflict,
                  "the store has another token '" + record.id + "', or that one with another role");
  }
  if (!context.is_json) {
    std::printf("token %s, role %s, is %s\n", record.id.c_str(), options.role.c_str(),
                is_there ? "there already" : "imported");
    return api::kExitOk;
  }
  v1::Token shown;
  api::from_token(record, clock.now(), shown);
  std::printf("%s\n", api::to_json(shown).c_str());
  return api::kExitOk;
}

Result<void> check_import(const Context& context, const TokenOptions& options) {
  if (options.action != "import") return ok();
  if (options.store.empty() || options.store == "memory:" || context.access.token_file.empty()) {
    return fail(
        Code::kInvalid,
        "skep token import wants --store, and --token-file with the token: it goes into the store itself, "
        "not over the network");
  }
  return ok();
}

Result<void> check(const TokenOptions& options) {
  const bool needs_id = options.action == "rotate" || options.action == "revoke";
  if (needs_id && options.id.empty()) {
    return fail(Code::kInvalid, "skep token " + options.action + " wants the ID of a token");
  }
  if (!needs_id && !options.id.empty()) {
    return fail(Code::kInvalid, "skep token " + options.action + " takes no ID");
  }
  if ((options.action == "create" || options.action == "import") && options.role.empty()) {
    return fail(Code::kInvalid,
                "skep token " + options.action + " wants --role " + std::string(kRolesInWords));
  }
  return ok();
}

Result<int> run(const Context& context, const TokenOptions& options) {
  if (options.action == "import") return import_token(context, options);
  SKEP_TRY(auto tokens, connect(context, options));
  if (options.action == "list") {
    SKEP_TRY(const auto listed, tokens->list());
    show_list(context, listed);
    return api::kExitOk;
  }
  if (options.action == "revoke") {
    SKEP_TRY(const auto token, tokens->revoke(options.id));
    std::printf("%s\n",
                context.is_json ? api::to_json(token).c_str() : ("token " + token.id() + " is over").c_str());
    return api::kExitOk;
  }
  SKEP_TRY(const auto made, options.action == "create" ? tokens->create(options)
                                                       : tokens->rotate(options.id, options.overlap));
  return show_made(context, options, made);
}

}  // namespace

void add_token_command(CLI::App& app, Context& context) {
  auto options = std::make_shared<TokenOptions>();
  auto* command = app.add_subcommand("token", "Make, import, list, rotate and revoke tokens");
  command->footer(
      "Example: skep token create --role admin --store rocksdb:/var/lib/skep --out admin.token\n"
      "         skep token create --role worker --expires 30d --token-file admin.token\n"
      "         skep token import --role client --store rocksdb:/var/lib/skep --token-file client.token\n"
      "         skep token rotate 3f6c01d2a9b4 --overlap 1h --token-file admin.token\n"
      "With --store the store itself is changed, whether a manager runs or not; else the manager is asked.");
  command->add_option("ACTION", options->action, "create, import, list, rotate or revoke")
      ->required()
      ->check(CLI::IsMember({"create", "import", "list", "rotate", "revoke"}));
  command->add_option("ID", options->id, "Id of the token, for rotate and revoke");
  command->add_option("--role", options->role, std::string(kRolesInWords))
      ->check(CLI::IsMember({"viewer", "client", "worker", "sibling", "admin"}));
  command->add_option("--name", options->name, "What people call it");
  add_duration(*command, "--expires", options->expires, "How long it is valid; 0s is without end");
  add_duration(*command, "--overlap", options->overlap, "How long a rotated token stays valid");
  command->add_option("--out", options->out, "File to write the new token to, for its owner alone")
      ->type_name("FILE");
  command->add_option("--store", options->store,
                      "rocksdb:DIRECTORY, log:DIRECTORY or postgres://HOST/DATABASE");
  add_client_options(*command, context);
  context.checks[command] = [&context, options]() -> Result<void> {
    SKEP_TRY(check_import(context, *options));
    return check(*options);
  };
  context.actions[command] = [&context, options] {
    const auto code = run(context, *options);
    return code ? code.value() : report(code.error());
  };
}

}  // namespace skep::cli
