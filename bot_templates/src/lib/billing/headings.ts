import type { Passage } from './evidence.ts';

/** The heading in force at a place in a note; empty where there is none. */
export function headingAt({ text, heading }: Passage, at: number): string {
  const lineStart = text.lastIndexOf('\n', at - 1) + 1;
  const above = text.slice(0, lineStart).split('\n');
  const lineEnd = text.indexOf('\n', at);
  const own = runInHeading(text.slice(lineStart, lineEnd < 0 ? text.length : lineEnd));
  return own ?? above.reduce((current, line) => headingOf(line) ?? current, heading);
}

/** What a line says of the lines below it: the words of a heading; undefined for another line. */
export function headingOf(line: string): string | undefined {
  const trimmed = line.trim();
  if (trimmed.length > 80) {
    const title = runInHeading(trimmed);
    return title !== undefined && SECTION.test(title) ? title : undefined;
  }
  const found =
    /^#{1,6}\s+(.+)$/.exec(trimmed) ??
    /^\**([A-Za-z][A-Za-z0-9 &/,()-]{1,60})\**:\**$/.exec(trimmed) ??
    /^([A-Z][A-Z0-9 &/,()-]{2,60}):?$/.exec(trimmed);
  const title = found?.[1] ?? runInHeading(trimmed);
  return found || (title !== undefined && SECTION.test(title)) || (title === undefined && SECTION_ALONE.test(trimmed))
    ? (title ?? trimmed)
    : undefined;
}

/** Sections of a note by their usual names: these end the section before them also within a line. */
const SECTION = new RegExp(
  `^(?:${[
    'assessment|impression|plan|a/p|diagnos[ie]s|problems?|follow|disposition',
    'hpi|history of present|interval|subjective|chief complaint|cc\\b|ros|review of systems',
    'objective|exam|physical|vitals?|labs?|results?|imaging|medications?|allerg',
  ].join('|')})`,
  'i'
);
const SECTION_ALONE = /^(?:assessment|impression|plan|assessment and plan|diagnos[ie]s|hpi|subjective|objective)$/i;

/** `Assessment` in the line `Assessment: type 2 diabetes`. */
function runInHeading(line: string): string | undefined {
  return /^\s*\**([A-Z][A-Za-z0-9 &/,()-]{1,40})\**:/.exec(line.slice(0, 80))?.[1];
}
