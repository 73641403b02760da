// SPDX-License-Identifier: Apache-2.0
// Makes one HTML document of the page's sources, and a C++ header of that: build_page.mjs SOURCES NODE_MODULES HEADER
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';

const [sources, modules, header] = process.argv.slice(2);
const esbuild = createRequire(join(modules, 'any.js'))('esbuild');

function bundle(name) {
  const built = esbuild.buildSync({
    entryPoints: [join(sources, name)],
    bundle: true,
    minify: true,
    write: false,
    format: 'iife',
    target: ['chrome109', 'firefox115', 'safari16'],
    jsx: 'automatic',
    jsxImportSource: 'preact',
    nodePaths: [modules],
    charset: 'utf8',
    legalComments: 'none',
    logLevel: 'warning',
  });
  return built.outputFiles[0].text.trim();
}

// An end tag in a string would end the element that the text stands in.
const script = bundle('main.tsx').replaceAll('</script', '<\\/script');
const style = bundle('style.css');
const html = readFileSync(join(sources, 'index.html'), 'utf8')
  .replace('<!-- style -->', () => `<style>${style}</style>`)
  .replace('<!-- script -->', () => `<script>${script}</script>`);

const digest = (algorithm, text, form) => createHash(algorithm).update(text).digest(form);
const policy = [
  "default-src 'none'",
  `script-src 'sha256-${digest('sha256', script, 'base64')}'`,
  `style-src 'sha256-${digest('sha256', style, 'base64')}'`,
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const plain = Buffer.from(html);
const gzip = gzipSync(plain, { level: 9 });
const list = (bytes) => {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 25) lines.push([...bytes.subarray(at, at + 25)].join(','));
  return lines.join(',\n');
};
mkdirSync(dirname(header), { recursive: true });
writeFileSync(
  header,
  `// Made from src/web/page by src/web/build_page.mjs.
#pragma once
#include <string_view>
namespace skep::web {
constexpr std::string_view kEtag = "${digest('sha256', html, 'hex').slice(0, 16)}";
constexpr std::string_view kPolicy = "${policy}";
constexpr unsigned char kPlain[] = {${list(plain)}};
constexpr unsigned char kGzip[] = {${list(gzip)}};
}  // namespace skep::web
`,
);
