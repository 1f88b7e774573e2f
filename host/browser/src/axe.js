// What axe-core finds that WCAG 2.2 forbids on levels A and AA. Frames have pages of their own.
axe
  .run(document, {
    iframes: false,
    resultTypes: ['violations'],
    runOnly: {
      type: 'tag',
      values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa'],
    },
  })
  .then(({ violations }) =>
    violations.map(({ id, impact, help, nodes }) => ({
      id,
      impact,
      help,
      count: nodes.length,
      nodes: nodes.slice(0, 3).map(({ target }) => target.flat(Infinity).join(' ')),
      // The first line is a heading.
      why: (nodes[0]?.failureSummary ?? '').split('\n')[1]?.trim() ?? '',
    })),
  )
