/**
 * A text in Markdown that shows exactly these characters, in the middle of a line.
 *
 * Nothing of it is markup: no emphasis (`10*3/uL` keeps its star), code, strike-through, link, image, HTML, entity or
 * address that becomes a link. Everything else stays as it is, so that values can be found in the source too.
 */
export function escapeMarkdown(text: string): string {
  return (
    text
      // Emphasis, code, strike-through, formulas.
      .replace(/[\\`*_~$]/g, '\\$&')
      // Tags, comments, addresses in angle brackets; a bare `< 5` is none.
      .replace(/<(?=[A-Za-z/!?])/g, '\\<')
      .replace(/&(?=[#A-Za-z])/g, '\\&')
      // What follows a bracket makes it a link, an image, a definition; `mm[Hg]` is none.
      .replace(/\](?=[([:])/g, '\\]')
      .replace(/\[(?=[\^\]xX\d ])/g, '\\[')
      // Bare addresses that many viewers make links of.
      .replace(/:(?=\/\/)/g, '\\:')
      .replace(/\b(www)\./gi, '$1\\.')
      .replace(/@/g, '\\@')
  );
}

/** The same for the beginning of a line or list item, where more is markup: headings, quotes, lists, rules. */
export function escapeMarkdownLine(text: string): string {
  return escapeMarkdown(text)
    .replace(/^[#>+=|-]/, '\\$&')
    .replace(/^(\d{1,9})([.)])/, '$1\\$2')
    .replace(/^\[/, '\\[');
}
