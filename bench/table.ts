/** A table of texts. The first column has the names of the lines. */
export type Table = { title: string; head: string[]; rows: string[][] };

/**
 * A table as text: the first column is aligned to the left, the others to the right. When there are only two columns,
 * both are prose, and are aligned to the left.
 */
export function asText({ title, head, rows }: Table): string {
  const all = head.some(Boolean) ? [head, ...rows] : rows;
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const isProse = head.length === 2;
  const lines = all.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return column === 0 || isProse ? cell.padEnd(width) : cell.padStart(width);
      })
      .join('  ')
      .trimEnd(),
  );
  return [title.toUpperCase(), ...lines.map((line) => `  ${line}`), ''].join('\n');
}

/** A table in Markdown, under a heading if it has a title. */
export function asMarkdown({ title, head, rows }: Table): string {
  const rule = head.map((_, column) => (column === 0 || head.length === 2 ? '---' : '---:'));
  return [
    ...(title ? [`### ${title}`, ''] : []),
    markdownRow(head),
    markdownRow(rule),
    ...rows.map(markdownRow),
    '',
  ].join('\n');
}

function markdownRow(cells: string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}
