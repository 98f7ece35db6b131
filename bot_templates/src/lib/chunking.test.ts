import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chunkRecord, CHUNK_LIMITS, cleanText } from './chunking.ts';
import type { Section } from './record/record-text.ts';

const note = (text: string, title = 'Text'): Section => ({ title, contentType: 'note', text });
const chunk = (...sections: Section[]) =>
  chunkRecord('DocumentReference', { date: '2024-03-01', sections, skipped: [] });
const bodies = (...sections: Section[]) =>
  chunk(...sections).chunks.map(({ text }) => text.slice(text.indexOf('\n') + 1));

/** Words as notes have them, with odd characters, long runs and headings among them. */
const words = fc
  .array(
    fc.oneof(
      { weight: 8, arbitrary: fc.stringMatching(/^[a-zäß]{1,12}$/) },
      fc.constantFrom('. ', '\n', '\n\n', 'PLAN:\n', '# Findings\n', '\u0000', '😀😀', '|', ']'),
      fc.stringMatching(/^[A-Z]{200,1500}$/)
    ),
    { maxLength: 600 }
  )
  .map((parts) => parts.join(' '));

describe('chunkRecord', () => {
  test('gives a short note one chunk with its type, date and section', () => {
    expect(chunk(note('Lungs clear.'))).toEqual({
      chunks: [{ contentType: 'note', section: 'Text', text: '[DocumentReference | 2024-03-01 | Text]\nLungs clear.' }],
      complete: true,
    });
  });

  test('says when there is no date, and gives nothing for a blank text', () => {
    const undated = chunkRecord('Condition', { date: undefined, sections: [note(' a ')], skipped: [] });
    expect(undated.chunks[0]?.text).toBe('[Condition | undated | Text]\na');
    expect(chunk(note(' \n\u0000 ')).chunks).toEqual([]);
  });

  test.each([
    ['Markdown', '# Assessment\nAsthma.\n## Plan\nInhaler.'],
    ['capitals', 'ASSESSMENT\nAsthma.\nPLAN:\nInhaler.'],
    ['a colon', 'Assessment:\nAsthma.\nPlan:\nInhaler.'],
  ])('begins a chunk at a heading in %s', (_name, text) => {
    expect(chunk(note(text)).chunks.map(({ section }) => section.toLowerCase())).toEqual(['assessment', 'plan']);
  });

  test('lets a heading with nothing under it lead the next passage', () => {
    expect(bodies(note('# Note\n\n## Plan\nInhaler.'))).toEqual(['Note\n\nPlan\nInhaler.']);
  });

  test('takes no heading from structured text', () => {
    expect(chunk({ title: 'Result', contentType: 'structured', text: 'A:\nb' }).chunks).toHaveLength(1);
  });

  test('keeps marks of its own header out of a title', () => {
    expect(chunk(note('# A | B ] C\ntext')).chunks[0]?.text).toMatch(/^\[DocumentReference \| 2024-03-01 \| A B C\]\n/);
  });

  test('cuts at a blank line rather than at a sentence, at a sentence rather than at a word', () => {
    const sentence = `${'word '.repeat(15)}end. `;
    const [first] = bodies(note(`${sentence.repeat(10)}\n\n${sentence.repeat(10)}`));
    expect(first).toBe(sentence.repeat(10).trim());
    const [start] = bodies(note(sentence.repeat(40)));
    expect(start).toMatch(/end\.$/);
    const [run] = bodies(note('word '.repeat(900)));
    expect(run).toMatch(/word$/);
  });

  test('repeats the end of a chunk at the beginning of the next', () => {
    const text = Array.from({ length: 600 }, (_, index) => `w${index}`).join(' ');
    const [first = '', second = ''] = bodies(note(text));
    const overlap = second.slice(0, second.indexOf(' ', 100));
    expect(first.endsWith(first.slice(first.indexOf(overlap)))).toBe(true);
    expect(first).toContain(overlap);
  });

  test('stops at 200 chunks and says so', () => {
    const { chunks, complete } = chunk(note('word '.repeat(100_000)));
    expect(chunks).toHaveLength(CHUNK_LIMITS.chunks);
    expect(complete).toBe(false);
  });

  test('never splits a character in two', () => {
    for (const text of [`a${'😀'.repeat(3_000)}`, '😀'.repeat(3_000)]) {
      expect(bodies(note(text)).every((body) => body.isWellFormed() && !body.includes('\ufffd'))).toBe(true);
    }
  });

  test('takes time in proportion to the text, whatever it is made of', () => {
    const started = performance.now();
    for (const unit of [' ', '\n', '#', 'A', ':', '.', ' .', '\u0000']) {
      chunk(note(`${unit.repeat(1_000_000)}x`));
    }
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  test('whatever the text: bounded, headed, and every word is in some chunk, in order', () => {
    fc.assert(
      fc.property(words, (text) => {
        const { chunks, complete } = chunk(note(text));
        for (const { text: body } of chunks) {
          expect(body.length).toBeLessThanOrEqual(CHUNK_LIMITS.greatest);
          expect(body).toMatch(/^\[DocumentReference \| 2024-03-01 \| [^|\]\n]*\]\n\S/);
          expect(body).not.toContain('\u0000');
        }
        const all = chunks.map((each) => each.text).join('\n');
        if (complete) {
          for (const word of text.match(/[a-zäß]+/g) ?? []) {
            expect(all).toContain(word);
          }
        }
      }),
      { numRuns: 150 }
    );
  });
});

test('cleanText keeps lines and tabs apart and drops what Postgres refuses', () => {
  expect(cleanText('\ufeffa\u0000b\r\nc\rd  \n\n\n\n e\ud800')).toBe('a b\nc\nd\n\n e\ufffd');
});
