// SPDX-License-Identifier: Apache-2.0
// An authority of one's own: two keys, two certificates, in files.
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <system_error>

#include "base/check.h"
#include "http/tls.h"

namespace skep::http {
namespace {

constexpr long kDaySeconds = 24 * 60 * 60;
constexpr int kAuthorityDays = 3650;
constexpr int kServerDays = 365;
constexpr int kRenewalDays = 30;
constexpr long kSkewSeconds = 60 * 60;  // clocks of other machines may be behind

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
  void operator()(BIGNUM* number) const { BN_free(number); }
};
using Key = std::unique_ptr<EVP_PKEY, Free>;
using Certificate = std::unique_ptr<X509, Free>;
using Bio = std::unique_ptr<BIO, Free>;

struct Pair {
  Key key;
  Certificate certificate;
};

// What OpenSSL can only fail at for lack of memory.
void must(bool is_done) {
  SKEP_CHECK(is_done, "OpenSSL could not make a certificate");
}

Error file_error(const std::string& path, const std::string& doing) {
  return fail(Code::kInvalid,
              "'" + path + "' can not be " + doing + ": " + std::system_category().message(errno));
}

Result<void> write_file(const std::string& path, const std::string& text, mode_t mode) {
  const std::string draft = path + ".new";
  ::unlink(draft.c_str());
  const int file = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (file < 0) return file_error(path, "written");
  const bool is_written =
      ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(file) == 0;
  ::close(file);
  if (!is_written || ::rename(draft.c_str(), path.c_str()) != 0) return file_error(path, "written");
  return ok();
}

template <class Write>
std::string to_pem(Write write) {
  const Bio bio(BIO_new(BIO_s_mem()));
  must(bio != nullptr && write(bio.get()) == 1);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return std::string(text, static_cast<std::size_t>(size));
}
std::string to_pem(const Key& key) {
  return to_pem([&](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
}
std::string to_pem(const Certificate& certificate) {
  return to_pem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate.get()); });
}

Key read_key(const std::string& path) {
  const Bio bio(BIO_new_file(path.c_str(), "r"));
  const auto no_password = [](char*, int, int, void*) { return 0; };
  return Key(bio == nullptr ? nullptr : PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr));
}
Certificate read_certificate(const std::string& path) {
  const Bio bio(BIO_new_file(path.c_str(), "r"));
  return Certificate(bio == nullptr ? nullptr : PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
}

bool is_address(const std::string& name) {
  ASN1_OCTET_STRING* address = a2i_IPADDRESS(name.c_str());
  ASN1_OCTET_STRING_free(address);
  return address != nullptr;
}

void add_extension(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context{};
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Free> extension(
      X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
  must(extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1);
}

Pair begin(const std::string& name, int days) {
  Pair made{Key(EVP_EC_gen("P-256")), Certificate(X509_new())};
  must(made.key != nullptr && made.certificate != nullptr);
  X509* certificate = made.certificate.get();
  const std::unique_ptr<BIGNUM, Free> serial(BN_new());
  must(serial != nullptr && BN_rand(serial.get(), 159, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1);
  must(BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate)) != nullptr);
  must(X509_set_version(certificate, X509_VERSION_3) == 1);
  must(X509_gmtime_adj(X509_getm_notBefore(certificate), -kSkewSeconds) != nullptr);
  must(X509_gmtime_adj(X509_getm_notAfter(certificate), days * kDaySeconds) != nullptr);
  must(X509_set_pubkey(certificate, made.key.get()) == 1);
  const std::string common = name.substr(0, 64);
  must(X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                                  reinterpret_cast<const unsigned char*>(common.data()),
                                  static_cast<int>(common.size()), -1, 0) == 1);
  return made;
}

void sign(X509* certificate, X509* issuer, EVP_PKEY* key) {
  must(X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1);
  add_extension(certificate, issuer, NID_subject_key_identifier, "hash");
  add_extension(certificate, issuer, NID_authority_key_identifier, "keyid:always");
  must(X509_sign(certificate, key, EVP_sha256()) != 0);
}

Pair make_authority() {
  char host[256] = "";
  ::gethostname(host, sizeof host - 1);
  Pair made = begin(std::string("skep authority of ") + host, kAuthorityDays);
  X509* own = made.certificate.get();
  add_extension(own, own, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  add_extension(own, own, NID_key_usage, "critical,keyCertSign,cRLSign");
  sign(own, own, made.key.get());
  return made;
}

Pair make_server(const Pair& authority, const std::vector<std::string>& names) {
  Pair made = begin(names.front(), kServerDays);
  X509* own = made.certificate.get();
  std::string list;
  for (const auto& name : names)
    list += (list.empty() ? "" : ",") + std::string(is_address(name) ? "IP:" : "DNS:") + name;
  add_extension(own, authority.certificate.get(), NID_basic_constraints, "critical,CA:FALSE");
  add_extension(own, authority.certificate.get(), NID_key_usage, "critical,digitalSignature");
  add_extension(own, authority.certificate.get(), NID_ext_key_usage, "serverAuth");
  add_extension(own, authority.certificate.get(), NID_subject_alt_name, list);
  sign(own, authority.certificate.get(), authority.key.get());
  return made;
}

bool has_name(X509* certificate, const std::string& name) {
  return is_address(name) ? X509_check_ip_asc(certificate, name.c_str(), 0) == 1
                          : X509_check_host(certificate, name.data(), name.size(), 0, nullptr) == 1;
}

bool is_still_good(X509* certificate, const Pair& authority, const std::vector<std::string>& names) {
  int days = 0, seconds = 0;
  return X509_verify(certificate, X509_get0_pubkey(authority.certificate.get())) == 1 &&
         ASN1_TIME_diff(&days, &seconds, nullptr, X509_get0_notAfter(certificate)) == 1 &&
         days >= kRenewalDays && std::all_of(names.begin(), names.end(), [&](const std::string& name) {
           return has_name(certificate, name);
         });
}

bool exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

Result<Pair> keep_authority(const std::string& certificate_file, const std::string& key_file) {
  if (!exists(certificate_file) && !exists(key_file)) {
    Pair made = make_authority();
    SKEP_TRY(write_file(key_file, to_pem(made.key), 0600));
    SKEP_TRY(write_file(certificate_file, to_pem(made.certificate), 0644));
    return made;
  }
  Pair found{read_key(key_file), read_certificate(certificate_file)};
  ERR_clear_error();
  if (found.key != nullptr && found.certificate != nullptr &&
      X509_check_private_key(found.certificate.get(), found.key.get()) == 1) {
    return found;
  }
  return fail(Code::kInvalid,
              "'" + certificate_file + "' and '" + key_file +
                  "' are no authority together: put back the one that is missing or wrong, or "
                  "remove both and give clients the new one");
}

// What goes into a certificate as it is must not be taken for more than a name.
Result<void> check_names(const std::vector<std::string>& names) {
  for (const auto& name : names) {
    const bool is_plain =
        !name.empty() && name.size() <= 253 && std::all_of(name.begin(), name.end(), [](char c) {
          return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                 c == '-' || c == '_' || c == ':';
        });
    if (!is_plain) return fail(Code::kInvalid, "'" + name + "' is no name for a certificate");
  }
  return ok();
}

}  // namespace

Result<OwnAuthority> keep_own_authority(const std::string& directory, const std::vector<std::string>& names) {
  SKEP_TRY(check_names(names));
  if (::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) return file_error(directory, "made");
  const OwnAuthority files{directory + "/ca.pem", directory + "/server.pem"};
  SKEP_TRY(const Pair authority, keep_authority(files.ca_file, directory + "/ca.key"));
  const Pair found{read_key(files.server_file), read_certificate(files.server_file)};
  const bool is_kept = found.key != nullptr && found.certificate != nullptr &&
                       X509_check_private_key(found.certificate.get(), found.key.get()) == 1 &&
                       is_still_good(found.certificate.get(), authority, names);
  ERR_clear_error();
  if (is_kept) return files;
  const Pair made = make_server(authority, names);
  SKEP_TRY(write_file(files.server_file, to_pem(made.key) + to_pem(made.certificate), 0600));
  return files;
}

}  // namespace skep::http
