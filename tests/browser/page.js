// Opens every HTML file of a directory in headless Chromium, wide and narrow, light and dark, with the policy that is
// the file `policy` there, and checks that nothing overflows, that nothing was refused or failed, that the page says what
// it must (looked.js), and that axe finds nothing against WCAG 2 A and AA. The pictures are left there; one of them,
// status-page.png, is what docs/ shows.
//
//   node page.js DIRECTORY MODULES
'use strict';

const fs = require('fs');
const path = require('path');
const { createRequire } = require('module');

const [directory, modules] = process.argv.slice(2);
const installed = createRequire(path.join(path.resolve(modules), 'x.js'));
const { chromium } = installed('playwright-core');
const policy = fs.readFileSync(path.join(directory, 'policy'), 'utf8');
const looked = require('./looked.js');
const axe = fs.readFileSync(installed.resolve('axe-core/axe.min.js'), 'utf8');

const widths = { desktop: 1280, phone: 390 };
const schemes = ['light', 'dark'];
const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

// The page as the agent serves it: from its own address, with its own policy.
async function look(browser, name, html, width, colorScheme) {
  const faults = [];
  const context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme });
  const page = await context.newPage();
  page.on('console', (message) => faults.push(`console: ${message.text()}`));
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  await page.route('**/*', (route) => {
    if (route.request().url() === 'http://node.test/') {
      return route.fulfill({ body: html, contentType: 'text/html; charset=utf-8', headers: { 'Content-Security-Policy': policy } });
    }
    faults.push(`asked for ${route.request().url()}`);
    return route.abort();
  });
  await page.goto('http://node.test/');
  await page.screenshot({ path: path.join(directory, `${name}.png`), fullPage: !name.startsWith('many') });
  if (name === 'filling-up-desktop-light') await picture(page);
  faults.push(...await page.evaluate(looked, name));
  // What is folded must fit too.
  for (const state of ['as it comes', 'unfolded']) {
    const [content, room] = await page.evaluate(() => {
      const all = document.scrollingElement;
      return [all.scrollWidth, all.clientWidth];
    });
    if (content > room) faults.push(`${state}: ${content} wide on ${room}`);
    await page.evaluate(() => document.querySelectorAll('details').forEach((details) => { details.open = true; }));
  }
  await page.evaluate(axe);
  const found = await page.evaluate((values) => window.axe.run(document, { runOnly: { type: 'tag', values } }), tags);
  for (const violation of found.violations) {
    for (const node of violation.nodes.slice(0, 3)) {
      faults.push(`axe ${violation.id}: ${node.html.slice(0, 160)}: ${node.failureSummary.replace(/\s+/g, ' ')}`);
    }
  }
  if (found.passes.length < 10) faults.push(`axe passed only ${found.passes.length} rules`);
  await context.close();
  return faults;
}

// The picture for the documentation: what is worst, and who holds what.
async function picture(page) {
  await page.setViewportSize({ width: 1100, height: 800 });
  const end = await page.locator('#probe').boundingBox();
  await page.screenshot({ path: path.join(directory, 'status-page.png'), fullPage: true, clip: { x: 0, y: 0, width: 1100, height: end.y - 12 } });
  await page.setViewportSize({ width: widths.desktop, height: 800 });
}

(async () => {
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'],
  });
  let looked = 0;
  let failed = 0;
  for (const file of fs.readdirSync(directory).filter((file) => file.endsWith('.html')).sort()) {
    const html = fs.readFileSync(path.join(directory, file), 'utf8');
    for (const [kind, width] of Object.entries(widths)) {
      for (const scheme of schemes) {
        const name = `${path.basename(file, '.html')}-${kind}-${scheme}`;
        const faults = await look(browser, name, html, width, scheme);
        looked += 1;
        failed += faults.length > 0 ? 1 : 0;
        faults.forEach((fault) => console.error(`${name}: ${fault}`));
      }
    }
  }
  await browser.close();
  console.log(`${looked} looks at the page, ${failed} with faults; pictures in ${directory}`);
  process.exitCode = failed > 0 || looked === 0 ? 1 : 0;
})();
