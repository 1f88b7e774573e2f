// What axe-core finds on a page, with all of it unfolded, on a desk and on a phone.
import { readFileSync } from 'node:fs';

export const VIEWS = { desk: { width: 1280, height: 900 }, phone: { width: 360, height: 740 } };
// With dark colours, too, on a wide desk and on another phone.
export const ALL_VIEWS = {
  ...VIEWS,
  'dark desk': { width: 1440, height: 900, colorScheme: 'dark' },
  'dark phone': { width: 390, height: 844, colorScheme: 'dark' },
};

// `require` finds axe-core in the folder of the tools; `seen` is called in each view.
export const auditor = (require, views = VIEWS) => {
  const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
  return async (page, seen = async () => {}) => {
    const problems = [];
    await page.evaluate(() => {
      for (const details of document.querySelectorAll('details')) details.open = true;
    });
    await page.evaluate(axe);
    for (const [view, { width, height, colorScheme }] of Object.entries(views)) {
      await page.setViewportSize({ width, height });
      if (colorScheme) await page.emulateMedia({ colorScheme });
      const { violations } = await page.evaluate(() =>
        window.axe.run(document, { resultTypes: ['violations'] }),
      );
      for (const { id, help, nodes } of violations) {
        const elements = nodes
          .slice(0, 3)
          .map((node) => `${node.target}: ${node.failureSummary.replace(/\s+/g, ' ')}`);
        problems.push(`${view}: ${id}: ${help} (${nodes.length}): ${elements.join(' | ')}`);
      }
      const { scrollWidth, clientWidth } = await page.evaluate(() => {
        const { scrollWidth, clientWidth } = document.documentElement;
        return { scrollWidth, clientWidth };
      });
      if (scrollWidth > clientWidth) problems.push(`${view}: the page is wider than the screen`);
      await seen(view);
    }
    return problems;
  };
};
