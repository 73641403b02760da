// SPDX-License-Identifier: Apache-2.0
// Where the page begins.
import { render } from 'preact';
import { App } from './app';

const page = document.getElementById('page');
if (page) {
  page.textContent = '';
  render(<App />, page);
}
