// SPDX-License-Identifier: Apache-2.0
// The page's sources by TypeScript's compiler: check_types.mjs SOURCES THEIR_MODULES COMPILER_MODULES SCRATCH
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [sources, modules, compiler, scratch] = process.argv.slice(2);
mkdirSync(scratch, { recursive: true });
const config = join(scratch, 'tsconfig.json');
writeFileSync(
  config,
  JSON.stringify({
    compilerOptions: {
      strict: true,
      noUncheckedIndexedAccess: true,
      noImplicitReturns: true,
      noUnusedLocals: true,
      noUnusedParameters: true,
      target: 'es2023',
      lib: ['es2023', 'dom', 'dom.iterable'],
      module: 'esnext',
      moduleResolution: 'bundler',
      jsx: 'react-jsx',
      jsxImportSource: 'preact',
      noEmit: true,
      types: [],
      skipLibCheck: true,
      paths: { '*': [join(modules, '*')] },
    },
    include: [sources],
    exclude: [join(sources, '*_test.ts')], // they name node's modules
  }),
);
const found = spawnSync(process.execPath, [join(compiler, 'typescript', 'bin', 'tsc'), '-p', config], { encoding: 'utf8' });
process.stdout.write(found.stdout + found.stderr);
if (found.status === 0) console.log('1 passed, 0 failed');
process.exit(found.status ?? 1);
