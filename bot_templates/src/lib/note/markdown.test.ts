import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { escapeMarkdown, escapeMarkdownLine } from './markdown.ts';

describe('Markdown', () => {
  test.each([
    ['*bold* and _italic_', '\\*bold\\* and \\_italic\\_'],
    ['[click](http://evil.example)', '[click\\](http\\://evil.example)'],
    ['![image](http://evil.example/x.png)', '![image\\](http\\://evil.example/x.png)'],
    ['<script>alert(1)</script>', '\\<script>alert(1)\\</script>'],
    ['<!-- hidden', '\\<!-- hidden'],
    ['&lt;', '\\&lt;'],
    ['`code`', '\\`code\\`'],
    ['~~gone~~', '\\~\\~gone\\~\\~'],
    ['[1]: http://evil.example', '\\[1\\]: http\\://evil.example'],
    ['www.evil.example', 'www\\.evil.example'],
    ['a\\b', 'a\\\\b'],
  ])('%j becomes %j', (text, escaped) => {
    expect(escapeMarkdown(text)).toBe(escaped);
  });

  test.each([
    ...['< 5 mg/dL', '> 60 mL/min', '7.1 %', '148 mm[Hg]', '2024-05-01T08:00:00+02:00'],
    ...['{beats}/min', 'A & B', '#4'],
  ])('%j stays as it is', (value) => {
    expect(escapeMarkdown(value)).toBe(value);
  });

  test('a star in a unit is shown, and does not make the rest of the line italic', () => {
    expect(escapeMarkdown('4.5 10*3/uL')).toBe('4.5 10\\*3/uL');
  });

  test.each([
    ['# Plan', '\\# Plan'],
    ['> quote', '\\> quote'],
    ['- item', '\\- item'],
    ['1. item', '1\\. item'],
    ['12) item', '12\\) item'],
    ['[ ] task', '\\[ ] task'],
    ['--- rule', '\\--- rule'],
  ])('at the beginning of a line %j becomes %j', (text, escaped) => {
    expect(escapeMarkdownLine(text)).toBe(escaped);
  });

  test('shows every character of any text: taking the backslashes of Markdown away gives the text again', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
        const shown = escapeMarkdownLine(text).replace(/\\([!-/:-@[-`{-~])/g, '$1');
        expect(shown).toBe(text);
      })
    );
  });
});
