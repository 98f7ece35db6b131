import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Chunk } from '../src/lib/chunking.ts';
import { contentHash } from '../src/lib/embedding-store.ts';

const cases = JSON.parse(readFileSync(new URL('content-hashes.json', import.meta.url), 'utf8')) as {
  model: string;
  chunks: Chunk[];
  hash: string;
}[];

// `medbots db migrate --reembed` writes the same hashes; its test reads the same file.
test.each(cases.map((each, number) => ({ number, ...each })))('the hash of chunk set $number', ({ model, chunks, hash }) => {
  expect(contentHash(model, chunks)).toBe(hash);
});
