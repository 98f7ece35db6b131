import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { NOTE_CONFIDENCE, PROMPT, SCHEMA } from './note-codes.ts';

test('the schema on the page is the one that is sent', () => {
  const page = readFileSync(new URL('../../../../docs/bots/billing-code-suggester.md', import.meta.url), 'utf8');
  const [, block = ''] = /## Model call[\s\S]*?```json\n([\s\S]*?)```/.exec(page) ?? [];
  expect(JSON.parse(block)).toEqual(SCHEMA);
  expect(page).toContain(`prompt \`${PROMPT.id}/${PROMPT.version}\``);
  expect(page).toContain(`at most ${NOTE_CONFIDENCE}`);
});
