import type { MedplumClient } from '@medplum/core';
import type { Bundle, BundleEntry, Task } from '@medplum/fhirtypes';
import { describe, expect, test } from 'vitest';
import type { BotRun } from '../run.ts';
import { readHistory } from './history.ts';

/** A server with so many versions of a Task, to which somebody adds one after each page that is read. */
class Growing {
  readonly pages: number[] = [];
  #versions: number;
  readonly #grows: boolean;

  constructor(versions: number, grows = false) {
    this.#versions = versions;
    this.#grows = grows;
  }

  get run(): BotRun {
    const medplum = {
      fhirUrl: (...parts: string[]) => new URL(`http://localhost/${parts.join('/')}`),
      get: (url: string) => Promise.resolve(this.#page(new URL(url).searchParams)),
    };
    return { medplum: medplum as unknown as MedplumClient } as BotRun;
  }

  #page(query: URLSearchParams): Bundle<Task> {
    const offset = Number(query.get('_offset'));
    const newestFirst = Array.from({ length: this.#versions }, (_, index) => this.#versions - index);
    const entry = newestFirst.slice(offset, offset + Number(query.get('_count'))).map(version);
    this.pages.push(entry.length);
    const total = this.#versions;
    this.#versions += this.#grows ? 1 : 0;
    return { resourceType: 'Bundle', type: 'history', entry, total };
  }
}

/** The seventh version is a deletion. */
function version(number: number): BundleEntry<Task> {
  const request = { method: 'GET', url: `Task/1/_history/v${number}` } as const;
  const meta = { versionId: `v${number}`, author: { reference: `Bot/${number}` } };
  return number === 7
    ? { request }
    : { request, resource: { resourceType: 'Task', id: '1', status: 'requested', intent: 'proposal', meta } };
}

describe('the history of a resource', () => {
  test('is read in one page where one holds it all', async () => {
    const server = new Growing(100);
    expect(await readHistory(server.run, 'Task', '1')).toHaveLength(100);
    expect(server.pages).toEqual([100]);
  });

  test('is read to its first version, the newest first, deletions among them', async () => {
    const server = new Growing(250);
    const versions = await readHistory<Task>(server.run, 'Task', '1');
    expect(server.pages).toEqual([100, 100, 50]);
    expect(versions.map(({ author }) => author)).toEqual(
      Array.from({ length: 250 }, (_, index) => (250 - index === 7 ? undefined : `Bot/${250 - index}`))
    );
    expect(versions.filter(({ resource }) => resource === undefined)).toHaveLength(1);
  });

  test('has each version once, and none is missing, though it grows while it is read', async () => {
    const versions = await readHistory<Task>(new Growing(250, true).run, 'Task', '1');
    expect(versions).toHaveLength(250);
    expect(versions.at(-1)?.author).toBe('Bot/1');
  });

  test('of a thousand versions is read; a longer one is trusted no more', async () => {
    expect(await readHistory(new Growing(1000).run, 'Task', '1')).toHaveLength(1000);
    await expect(readHistory(new Growing(1001).run, 'Task', '1')).rejects.toMatchObject({
      code: 'SAFETY_BLOCKED',
      details: { reason: 'HISTORY_TOO_LONG' },
    });
  });
});
