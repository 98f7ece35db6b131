import type { RecordText, Section } from './record/record-text.ts';

/** One row's text. */
export interface Chunk {
  contentType: Section['contentType'];
  section: string;
  /** Begins `[type | date | section]`. */
  text: string;
}

/** Lengths in UTF-16 units, a chunk's header included. */
export const CHUNK_LIMITS = { target: 1_000, greatest: 1_200, overlap: 150, chunks: 200, section: 80 } as const;

/**
 * Cuts a record's text into chunks: at headings, blank lines, sentences, spaces, in this order of preference.
 *
 * Chunks of one section overlap, so that what is said across a cut can still be found. Nothing is lost but what
 * exceeds the greatest number of chunks, which `complete` tells.
 */
export function chunkRecord(resourceType: string, record: RecordText): { chunks: Chunk[]; complete: boolean } {
  const chunks: Chunk[] = [];
  for (const section of record.sections.flatMap(splitAtHeadings)) {
    const title = plainTitle(section.title);
    const header = `[${resourceType} | ${record.date ?? 'undated'} | ${title}]\n`;
    for (const body of cut(cleanText(section.text), header.length)) {
      if (chunks.length === CHUNK_LIMITS.chunks) {
        return { chunks, complete: false };
      }
      chunks.push({ contentType: section.contentType, section: title, text: header + body });
    }
  }
  return { chunks, complete: true };
}

/** Text that Postgres can store: no NUL or other control characters, no run of more than two line ends. */
export function cleanText(text: string): string {
  return text
    .replace(/\r\n?/g, '\n')
    .replace(/[\u0000-\u0008\u000b-\u001f\u007f\ufeff]/g, ' ')
    .toWellFormed()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
    .replace(/\n{3,}/g, '\n\n')
    .trim();
}

/** A Markdown heading, or a short line of capitals, with or without a colon, or ending in one. */
const HEADING = /^(?:#{1,6}\s+(.{1,120}?)\s*#*|([A-Z][A-Z0-9 &/,()-]{2,60}):?|([A-Z][A-Za-z0-9 &/()-]{2,60}):)$/;

function headingOf(line: string): string | undefined {
  const trimmed = line.length > 200 ? '' : line.trim();
  const heading = HEADING.exec(trimmed);
  return heading?.[1] ?? heading?.[2] ?? heading?.[3];
}

/** A note's passages by their headings; text before the first keeps the section's own title. */
function splitAtHeadings(section: Section): Section[] {
  if (section.contentType === 'structured') {
    return [section];
  }
  const passages: Section[] = [];
  let passage = { ...section, text: '' };
  let bare = false;
  for (const line of section.text.split(/\r\n?|\n/)) {
    const title = headingOf(line);
    if (title === undefined) {
      passage.text += `${line}\n`;
      bare &&= line.trim() === '';
    } else {
      // A heading with nothing under it leads the next passage.
      const led = bare ? passage.text : '';
      if (!bare) {
        passages.push(passage);
      }
      passage = { ...section, title, text: `${led}${title}\n` };
      bare = true;
    }
  }
  return [...passages, passage];
}

/** A title that cannot be taken for the header's own marks. */
function plainTitle(title: string): string {
  return cleanText(title)
    .replace(/[[\]|\s]+/g, ' ')
    .trim()
    .slice(0, CHUNK_LIMITS.section)
    .toWellFormed();
}

/** Consecutive pieces of a text, each short enough to follow a header. */
function* cut(text: string, headerLength: number): Generator<string> {
  const target = CHUNK_LIMITS.target - headerLength;
  const greatest = CHUNK_LIMITS.greatest - headerLength;
  let start = 0;
  while (start < text.length) {
    const end =
      text.length - start <= greatest ? text.length : start + bestCut(text.slice(start, start + greatest), target);
    const piece = text.slice(start, end).trim();
    if (piece !== '') {
      yield piece;
    }
    start = end === text.length ? end : overlapStart(text, start, end);
  }
}

/** Where a window is cut: after the last blank line, sentence or space that leaves at least half the target. */
function bestCut(window: string, target: number): number {
  for (const boundary of [/\n\n/g, /[.!?:;]\s|\n/g, /\s/g]) {
    const ends = [...window.matchAll(boundary)].map((match) => match.index + match[0].length);
    const best = ends.findLast((end) => end <= target) ?? 0;
    if (best >= target / 2) {
      return best;
    }
    const next = ends.find((end) => end > target);
    if (next !== undefined && next < window.length) {
      return next;
    }
  }
  return target - (isLowSurrogate(window, target) ? 1 : 0);
}

/** Where the next piece begins: a little before the cut, at a word's beginning, but always further on. */
function overlapStart(text: string, start: number, end: number): number {
  const earliest = Math.max(end - CHUNK_LIMITS.overlap, start + 1);
  const space = text.slice(earliest, end).search(/\s/);
  if (space < 0) {
    return end;
  }
  return earliest + space;
}

function isLowSurrogate(text: string, position: number): boolean {
  const code = text.charCodeAt(position);
  return code >= 0xdc00 && code <= 0xdfff;
}
