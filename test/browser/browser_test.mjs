// SPDX-License-Identifier: Apache-2.0
// The page as people use it: every view and its states in a real browser, on real managers with real workers.
// Method: the parts register their tests with node's runner; one browser serves them all, one after the other.
import { after, describe } from 'node:test';
import { launch } from './lab.mjs';
import { loadTests } from './load_part.mjs';
import { stateTests } from './states_part.mjs';
import { viewTests } from './views_part.mjs';

const browser = await launch();
after(() => browser.close());

describe('views', () => viewTests(browser));
describe('states', () => stateTests(browser));
describe('load', () => loadTests(browser));
