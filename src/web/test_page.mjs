// SPDX-License-Identifier: Apache-2.0
// Runs the tests beside the page's sources (*_test.ts) by node's own runner: test_page.mjs SOURCES NODE_MODULES SCRATCH
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [sources, modules, scratch] = process.argv.slice(2);
const esbuild = createRequire(join(modules, 'any.js'))('esbuild');
const tests = readdirSync(sources).filter((name) => name.endsWith('_test.ts'));
esbuild.buildSync({
  entryPoints: tests.map((name) => join(sources, name)),
  outdir: scratch,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  format: 'esm',
  nodePaths: [modules],
  logLevel: 'warning',
});
const files = tests.map((name) => join(scratch, name.replace(/\.ts$/, '.mjs')));
process.exit(spawnSync(process.execPath, ['--test', ...files], { stdio: 'inherit' }).status ?? 1);
