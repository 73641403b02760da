// SPDX-License-Identifier: Apache-2.0
// Real managers and workers on free ports, and a browser to look at them. What is started here ends with the test.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, mkdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const require = createRequire(join(process.env.SKEP_BROWSER_MODULES, 'any.js'));
const { chromium } = require('playwright-core');
export const AXE = require('axe-core').source;
export const SCREENSHOTS = process.env.SKEP_SCREENSHOTS;
const BIN = process.env.SKEP_BIN;
// Far more than anything needs on a busy machine: a test that meets it found a hang.
const PATIENCE = 60_000;

export function wait(ms) {
  return new Promise((done) => setTimeout(done, ms));
}

// Polls until `look` gives something true; that is the value.
export async function until(look, what, ms = PATIENCE) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await look();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await wait(25);
  }
}

export function freePort() {
  return new Promise((done, fail) => {
    const server = createServer();
    server.on('error', fail);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}

export class Lab {
  constructor() {
    this.directory = mkdtempSync(join(tmpdir(), 'skep-page-'));
    this.processes = [];
  }

  // Ends with this process, however that ends.
  start(args, environment = {}) {
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', BIN, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    });
    child.log = '';
    child.stderr.on('data', (data) => (child.log = (child.log + data).slice(-4000)));
    this.processes.push(child);
    return child;
  }

  // `up` or `manager`, on a store of its own unless one is named.
  async manager(args = [], command = 'manager', port = 0) {
    const store = args.includes('--store') ? [] : ['--store', 'memory:'];
    const provisioner = command === 'manager' ? ['--provisioner', 'none'] : [];
    const child = this.start([command, '--listen', `127.0.0.1:${port}`, ...store, ...provisioner, ...args]);
    const address = await new Promise((done, fail) => {
      createInterface(child.stdout).once('line', (line) => done(line.replace('listening on ', '')));
      child.once('exit', () => fail(new Error(`the manager ended: ${child.log}`)));
    });
    return new Manager(child, address);
  }

  worker(manager, args = []) {
    return this.start(['worker', '--manager', manager.url, '--cores', '1', ...args]);
  }

  run(...args) {
    const ended = spawnSync(BIN, args, { encoding: 'utf8', timeout: PATIENCE });
    if (ended.status !== 0) throw new Error(`skep ${args.join(' ')}: ${ended.stderr}`);
    return ended.stdout.trim();
  }

  async close() {
    for (const child of this.processes) child.kill('SIGKILL');
    await Promise.all(
      this.processes.map(
        (child) => child.exitCode !== null || child.signalCode !== null || new Promise((done) => child.once('exit', done)),
      ),
    );
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export class Manager {
  constructor(child, address) {
    this.process = child;
    this.address = address;
    this.url = `http://${address}`;
    this.token = '';
  }

  async call(method, path, body) {
    const headers = this.token ? { Authorization: `Bearer ${this.token}` } : {};
    const response = await fetch(this.url + path, {
      method,
      headers,
      body: typeof body === 'object' ? JSON.stringify(body) : body,
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }
  enqueue(query, body = 'body') {
    return this.call('POST', `/v1/tasks?${query}`, body);
  }
  batch(count, options) {
    return this.call('POST', '/v1/tasks:batch', { tasks: Array.from({ length: count }, (_, i) => ({ options, body: `b${i}` })) });
  }
}

export function launch() {
  mkdirSync(SCREENSHOTS, { recursive: true });
  return chromium.launch({
    executablePath: process.env.SKEP_CHROMIUM || '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
  });
}

export const DESKTOP = { width: 1280, height: 860 };
export const PHONE = { width: 390, height: 844 };

// A tab that watches itself: nothing may be asked of another host, nothing refused by the policy, nothing thrown.
export async function open(browser, manager, options = {}) {
  const context = await browser.newContext({ viewport: DESKTOP, ...options });
  const tab = await context.newPage();
  tab.setDefaultTimeout(PATIENCE);
  tab.troubles = [];
  tab.on('request', (request) => {
    if (!request.url().startsWith(manager.url) && !/^(?:data|blob):/.test(request.url()))
      tab.troubles.push(`asked ${request.url()}`);
  });
  tab.on('pageerror', (error) => tab.troubles.push(`threw ${error.stack}`));
  tab.on('console', (message) => {
    // The browser itself tells of answers that are errors; the page says those to its reader.
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text()))
      tab.troubles.push(`said ${message.text()}`);
  });
  await tab.addInitScript(() => {
    globalThis.longTasks = [];
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) globalThis.longTasks.push(entry.duration);
    }).observe({ type: 'longtask', buffered: true });
  });
  return tab;
}

export async function go(tab, manager, hash) {
  await tab.goto(`${manager.url}/${hash}`);
}
