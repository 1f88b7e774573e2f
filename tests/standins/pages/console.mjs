// An operator at the console, in a headless browser: the commonest tasks with the mouse, with the
// keyboard alone, and without JavaScript; then axe-core on every screen, light, dark and on a phone.
// Prints one JSON object per task and per screen: its name, and the problems that were found; of a
// screen also the name of its picture, and its address if it is a page and no refusal.
// Usage: node console.mjs <folder with node_modules> <browser> <origin> <token> [<folder for pictures>]
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { VIEWS, auditor } from './audit.mjs';

const [tools, executablePath, origin, token, pictures] = process.argv.slice(2);
const require = createRequire(join(tools, 'package.json'));
const { chromium } = require('playwright-core');
const audit = auditor(require);

const DESK = VIEWS.desk;
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
const report = (name, problems, more = {}) =>
  console.log(JSON.stringify({ name, problems, ...more }));

// What a page does wrong by itself: other hosts, refused scripts and styles, errors.
const watch = (page, problems) => {
  page.on('request', (request) => {
    if (!request.url().startsWith(`${origin}/`)) problems.push(`it asks for ${request.url()}`);
  });
  page.on('console', (message) => {
    if (message.type() === 'error' && !/status of (400|404)/.test(message.text())) {
      problems.push(`console: ${message.text()}`);
    }
  });
  page.on('pageerror', (error) => problems.push(`its script fails: ${error}`));
};

// How an operator uses a page.
const mouse = {
  press: (page, target) => target.click(),
  type: (page, target, text) => target.fill(text),
  choose: (page, target, value) => target.selectOption(value),
};
const MOST_PRESSES = 150;
// How many elements that the keyboard reaches are before this one. To ask the page after each press
// whether it is reached takes as long as the press; so that is done for the last few only.
const elementsBefore = (element) => {
  const all = document.querySelectorAll('a[href], button, input, select, textarea, summary');
  const isReached = (one) =>
    one.tabIndex >= 0 && !one.disabled && (one.type !== 'radio' || one.checked);
  const reached = [...all].filter((one) => isReached(one) && one.checkVisibility());
  return reached.indexOf(element) - reached.indexOf(document.activeElement);
};
const focus = async (page, target) => {
  const wanted = await target.elementHandle();
  const before = (await wanted.evaluate(elementsBefore)) - 4;
  for (let presses = 0; presses < MOST_PRESSES; presses += 1) {
    if (presses >= before) {
      if (await wanted.evaluate((element) => element === document.activeElement)) return;
    }
    await page.keyboard.press('Tab');
  }
  throw new Error(`the keyboard does not reach ${target}`);
};
const keyboard = {
  press: async (page, target) => {
    await focus(page, target);
    const seen = await target.evaluate((element) => {
      const { outlineStyle, outlineWidth } = getComputedStyle(element);
      return outlineStyle !== 'none' && parseFloat(outlineWidth) > 0;
    });
    if (!seen) throw new Error(`it cannot be seen that ${target} has the focus`);
    await page.keyboard.press('Enter');
  },
  type: async (page, target, text) => {
    await focus(page, target);
    await page.keyboard.press('Control+A');
    await page.keyboard.type(text);
  },
  choose: async (page, target, value) => {
    await focus(page, target);
    await page.keyboard.type(value);
  },
};

const logIn = async (page, by) => {
  await page.goto(`${origin}/console/login`);
  await by.type(page, page.getByLabel('Token'), token);
  await by.press(page, page.getByRole('button', { name: 'Log in' }));
  await page.waitForURL(`${origin}/console`);
};
const says = (page, text) => page.getByText(text).first().waitFor({ timeout: 10_000 });
const to = (page, by, name) =>
  by.press(page, page.getByRole('navigation', { name: 'Console' }).getByRole('link', { name, exact: true }));
const isDone = (page, text) => page.getByRole('status').filter({ hasText: text }).waitFor();
// The page of a change of many orders, until that is done.
const changed = async (page, text) => {
  await page.waitForURL(/\/console\/bulk\/[0-9A-Z]{26}$/);
  for (let looks = 0; looks < 50; looks += 1) {
    if (await page.getByText('It is done').isVisible()) break;
    await page.reload();
  }
  await says(page, text);
};

// `key` is the way in which a task is done: each way has orders of its own.
const tasks = {
  'find the order of a customer': async (page, by, key) => {
    await to(page, by, 'Orders');
    await by.type(page, page.getByLabel('Id', { exact: true }), `FIND-${key}`);
    await by.press(page, page.getByRole('button', { name: 'Find' }));
    await by.press(page, page.getByRole('link', { name: `find-${key}-1`, exact: true }));
    await says(page, 'It waits for a worker with room.');
  },
  'find orders by conditions that are typed': async (page, by, key) => {
    await to(page, by, 'Orders');
    await by.type(page, page.getByLabel('Id', { exact: true }), `state:failed kind:panic mouth-${key}`);
    await by.press(page, page.getByRole('button', { name: 'Find' }));
    await page.waitForURL(/state=failed&kind=panic&text=mouth-/);
    await page.getByRole('link', { name: `mouth-${key}-1`, exact: true }).waitFor();
  },
  'see why an order failed': async (page, by, key) => {
    await to(page, by, 'Orders');
    await by.choose(page, page.getByLabel('State'), 'failed');
    await by.type(page, page.getByLabel('Id', { exact: true }), `mouth-${key}`);
    await by.press(page, page.getByRole('button', { name: 'Find' }));
    await by.press(page, page.getByRole('link', { name: 'why' }).first());
    await says(page, 'What to do');
    await says(page, 'landing::menu::price');
  },
  'see what fails most': async (page, by) => {
    await to(page, by, 'Failures');
    await by.choose(page, page.getByLabel('Since'), 'ever');
    await by.press(page, page.getByRole('button', { name: 'Show' }));
    await by.press(page, page.getByRole('link', { name: /the menu has no price/ }).first());
    await says(page, 'Where it stopped');
  },
  'see which template fails most, and since when': async (page, by) => {
    await to(page, by, 'Templates');
    await says(page, /^flora fails most: 50\.0 % of 12 orders since .+ ago; .+, 5\.0 % of 20\.$/);
    const worst = page.locator('#live-versions p').getByRole('link', { name: 'flora' });
    await by.press(page, worst);
    await page.getByRole('link', { name: /the menu has no price/ }).first().waitFor();
  },
  'retry all of a cause, after seeing what will happen': async (page, by, key) => {
    await to(page, by, 'Failures');
    await by.press(page, page.getByRole('link', { name: new RegExp(`no route for ${key}`) }));
    await by.press(page, page.getByRole('link', { name: 'Retry these 3…' }));
    await says(page, '3 orders are queued again with all attempts');
    await by.press(page, page.getByRole('button', { name: 'Retry 3' }));
    await changed(page, '3 queued again');
  },
  'pause a template and resume it': async (page, by) => {
    await to(page, by, 'Templates');
    await by.press(page, page.getByRole('button', { name: 'Pause flora' }));
    await isDone(page, 'It is held');
    await by.press(page, page.getByRole('link', { name: 'Resume flora…' }));
    await says(page, 'It can be held again.');
    await by.press(page, page.getByRole('button', { name: 'Release it' }));
    await isDone(page, 'It is released');
  },
  'hold a route and release it': async (page, by) => {
    await to(page, by, 'Templates');
    await by.type(page, page.getByLabel('Reason'), 'a new key');
    await by.press(page, page.getByRole('button', { name: 'Hold it' }));
    await says(page, 'held by an operator: a new key');
    await by.press(page, page.getByRole('link', { name: 'Release route:default…' }));
    await says(page, 'their AI calls are paid for');
    await by.press(page, page.getByRole('button', { name: 'Release it' }));
    await isDone(page, 'It is released');
  },
  'pause the queue and resume it': async (page, by) => {
    await to(page, by, 'Now');
    await by.press(page, page.getByRole('button', { name: 'Pause the queue' }));
    await isDone(page, 'The queue is paused.');
    await by.press(page, page.getByRole('link', { name: 'Resume the queue…' }));
    await by.press(page, page.getByRole('button', { name: 'Resume the queue' }));
    await isDone(page, 'The queue is resumed.');
  },
  'cancel an order, and make it again': async (page, by, key) => {
    await page.goto(`${origin}/console/orders/find-${key}-2`);
    await by.press(page, page.getByRole('link', { name: 'Cancel the order…' }));
    await by.press(page, page.getByRole('button', { name: 'Cancel the order' }));
    await isDone(page, 'The order is cancelled.');
    await by.press(page, page.getByRole('link', { name: 'Make it again…' }));
    await says(page, 'The order is queued again with all its attempts');
    await by.press(page, page.getByRole('button', { name: 'Make it again' }));
    await isDone(page, 'The order is queued again.');
  },
  'compare two releases, and make one current': async (page, by, key) => {
    await page.goto(`${origin}/console/orders/site-${key}`);
    await by.press(page, page.getByRole('link', { name: 'Releases' }));
    await by.press(page, page.getByRole('link', { name: /^Compare .* with the current one$/ }));
    await says(page, 'Rye bread, baked at night');
    await by.press(page, page.getByRole('link', { name: 'releases', exact: true }));
    await by.press(page, page.getByRole('link', { name: /^Make current…/ }));
    await says(page, 'Visitors see it within seconds');
    await by.press(page, page.getByRole('button', { name: 'Make it current' }));
    await isDone(page, 'It is the current release');
  },
  'revise an order': async (page, by, key) => {
    await page.goto(`${origin}/console/orders/find-${key}-1`);
    await by.press(page, page.getByRole('link', { name: 'Revise…' }));
    const text = `{"id": "find-${key}-1", "business_name": "Fauna", "business_email": "hello@flora.example"}`;
    await by.type(page, page.getByLabel('The document (JSON)'), text);
    await by.press(page, page.getByRole('button', { name: 'Check it' }));
    await says(page, '/business_name');
    await by.press(page, page.getByRole('button', { name: 'Queue it' }));
    await isDone(page, 'The new document is queued.');
  },
  'cancel all orders that fit, after seeing what will happen': async (page, by, key) => {
    await to(page, by, 'Orders');
    await by.type(page, page.getByLabel('Id', { exact: true }), `many-${key}`);
    await by.press(page, page.getByRole('button', { name: 'Find' }));
    await by.press(page, page.getByRole('link', { name: 'Cancel them…' }));
    await says(page, 'Cancel 4 orders?');
    await by.press(page, page.getByRole('button', { name: 'Cancel 4' }));
    await changed(page, '4 cancelled');
  },
  'see what AI calls cost': async (page, by) => {
    await to(page, by, 'AI');
    await says(page, 'qwen/qwen3-235b');
  },
  'erase an order': async (page, by, key) => {
    await page.goto(`${origin}/console/orders/find-${key}-3`);
    await by.press(page, page.getByRole('link', { name: 'Erase…' }));
    await by.type(page, page.getByLabel('Type the id of the order'), `find-${key}-3`);
    await by.press(page, page.getByRole('button', { name: 'Erase it' }));
    await isDone(page, 'The order is erased.');
  },
  'read the audit log': async (page, by, key) => {
    await to(page, by, 'Settings');
    await by.press(page, page.getByRole('link', { name: 'All of it' }));
    await page.getByRole('row').filter({ hasText: 'order.erase' }).filter({ hasText: `find-${key}-3` }).waitFor();
  },
  'log out': async (page, by) => {
    await by.press(page, page.getByRole('button', { name: 'Log out' }));
    await page.waitForURL(`${origin}/console/login`);
    await page.goto(`${origin}/console/orders`);
    await page.getByLabel('Token').waitFor();
  },
};

for (const [key, by, javaScriptEnabled] of [
  ['mouse', mouse, true],
  ['keyboard', keyboard, true],
  ['plain', mouse, false],
]) {
  const context = await browser.newContext({ viewport: DESK, javaScriptEnabled });
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  const problems = [];
  watch(page, problems);
  for (const [name, task] of Object.entries({ 'log in': logIn, ...tasks })) {
    try {
      await task(page, by, key);
    } catch (error) {
      problems.push(`${page.url()}: ${error}`);
    }
    report(`${name} (${key})`, problems.splice(0));
  }
  await context.close();
}

// A page changes by itself when something happens.
{
  const context = await browser.newContext({ viewport: DESK });
  const [page, other] = [await context.newPage(), await context.newPage()];
  const problems = [];
  watch(page, problems);
  try {
    await logIn(page, mouse);
    await page.goto(`${origin}/console/orders/find-live-1`);
    await page.getByText('live', { exact: true }).waitFor();
    await other.goto(`${origin}/console/orders/find-live-1/cancel`);
    await other.getByRole('button', { name: 'Cancel the order' }).click();
    await page.getByText('It was cancelled.').waitFor({ timeout: 10_000 });
  } catch (error) {
    problems.push(String(error));
  }
  report('an order changes while it is looked at', problems);
  await context.close();
}

// Every screen.
const first = async (page, address, name) => {
  await page.goto(`${origin}${address}`);
  return page.getByRole('link', { name }).first().getAttribute('href');
};
for (const colorScheme of ['light', 'dark']) {
  // Without animations, because a colour in transition is not the final one.
  const options = { viewport: DESK, colorScheme, reducedMotion: 'reduce', bypassCSP: true };
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const screens = { login: '/console/login' };
  await page.goto(`${origin}/console/login`);
  const check = async (name, address) => {
    const problems = [];
    const answer = await page.goto(`${origin}${address}`, { waitUntil: 'load' });
    if (pictures && colorScheme === 'light') await page.screenshot({ path: join(pictures, `${name}.png`) });
    if (pictures && colorScheme === 'dark') await page.screenshot({ path: join(pictures, `${name}-dark.png`) });
    const bytes = (await answer.body()).length;
    if (bytes > 60 * 1024) problems.push(`it has ${bytes} bytes`);
    const picture = async (view) => {
      if (pictures && view === 'phone' && colorScheme === 'light') {
        await page.screenshot({ path: join(pictures, `${name}-phone.png`) });
      }
    };
    problems.push(...(await audit(page, picture)));
    await page.setViewportSize(DESK);
    const more = answer.ok() ? { screen: name, address } : { screen: name };
    report(`${name}, ${colorScheme}`, problems, more);
  };
  await check('login', screens.login);
  await logIn(page, mouse);
  const cause = await first(page, '/console/failures?since=ever', /the menu has no price/);
  const record = await first(page, '/console/orders?state=failed&text=mouth', 'why');
  const releases = '/console/orders/site-plain/releases';
  const compare = await first(page, releases, /^Compare/);
  const choose = await first(page, releases, /^Make/);
  const delivery = await first(page, '/console/webhooks', 'order.failed');
  await page.goto(`${origin}/console/orders`);
  const change = await page.locator('#live-changes a').first().getAttribute('href');
  for (const [name, address] of Object.entries({
    now: '/console',
    orders: '/console/orders',
    found: '/console/orders?text=mouth&state=failed&kind=panic',
    order: '/console/orders/mouth-plain-1',
    waiting: '/console/orders/waits-1',
    erase: '/console/orders/mouth-plain-1/erase',
    again: '/console/orders/mouth-plain-1/retry',
    releases: '/console/orders/site-plain/releases',
    compare,
    choose,
    revise: '/console/orders/find-plain-2/revise',
    bulk: '/console/bulk?do=retry&state=failed&text=mouth',
    change,
    ai: '/console/ai?since=month',
    webhooks: '/console/webhooks',
    hooks: '/console/hooks',
    delivery,
    retention: '/console/retention',
    failures: '/console/failures?since=ever',
    cause,
    retry: `${cause}/retry`,
    record,
    templates: '/console/templates',
    template: '/console/templates/flora',
    settings: '/console/settings',
    audit: '/console/audit',
    refused: '/console/orders/nothing',
  })) {
    await check(name, address);
  }
  // The answer to a form, which has no address of its own.
  await page.goto(`${origin}${record}`);
  await page.getByRole('button', { name: 'Replay here' }).click();
  await says(page, 'Nothing was published');
  report(`replay, ${colorScheme}`, await audit(page));
  await context.close();
}
await browser.close();
