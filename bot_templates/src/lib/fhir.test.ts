import type { MedplumClient } from '@medplum/core';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { TestFhirServer } from '../../test/support/fhir-server.ts';
import { condition, observation } from '../../test/support/records.ts';
import { fhirRequest, readCurrent } from './fhir.ts';
import { ServerSources } from './record-sources.ts';
import { fieldsHiddenOf, readableVersions, sightOf } from './requester.ts';

const server = new TestFhirServer();
beforeAll(() => server.start());
afterAll(() => server.stop());
beforeEach(() => {
  server.rights.clear();
  server.requests.length = 0;
});

describe('readCurrent', () => {
  const read = (id: string) => readCurrent(server.client(), 'Condition', id, 'DB_ERROR');

  test('tells found, deleted and unknown apart', async () => {
    const stored = server.put(condition('Asthma'));
    expect(await read(stored.id)).toEqual({ found: stored });
    server.remove(stored);
    expect(await read(stored.id)).toEqual({ absent: 'deleted' });
    expect(await read('3f2a1b4c-0000-4000-8000-00000000abcd')).toEqual({ absent: 'unknown' });
  });

  test('says when it is not permitted', async () => {
    server.rights.set('bot', { forbidden: ['Condition'] });
    await expect(read('1')).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
  });
});

describe('fhirRequest', () => {
  test.each([
    [
      'an outcome that quotes a record',
      { outcome: { issue: [{ code: 'invalid', details: { text: 'Eleanor' } }] } },
      'Reading failed: invalid',
    ],
    ['an error that quotes a record', new TypeError('Eleanor'), 'Reading failed: TypeError'],
    ['nothing', undefined, 'Reading failed: error'],
  ])('keeps of %s no more than a code', async (_name, thrown, message) => {
    await expect(
      fhirRequest('Reading', 'EMBEDDING_ERROR', () => Promise.reject(thrown as Error))
    ).rejects.toMatchObject({
      code: 'EMBEDDING_ERROR',
      message,
    });
  });

  test('ends after five seconds', async () => {
    await expect(fhirRequest('Reading', 'DB_ERROR', () => new Promise(() => undefined))).rejects.toMatchObject({
      code: 'TIMEOUT',
      message: 'Reading took longer than 5000 ms',
    });
  });
});

describe('readableVersions', () => {
  const keys = (...resources: { resourceType: string; id: string }[]) =>
    resources.map(({ resourceType, id }) => ({ resourceType, resourceId: id }));

  test('reads hits of several types in one request', async () => {
    const [one, two] = [server.put(condition('A')), server.put(observation('B', 1))];
    expect(await readableVersions(server.client(), keys(one, two))).toEqual(
      new Map([
        [`Condition/${one.id}`, one.meta.versionId],
        [`Observation/${two.id}`, two.meta.versionId],
      ])
    );
    expect(server.requests).toEqual(['POST /fhir/R4']);
  });

  test('leaves out what is gone, what is hidden and types that are forbidden', async () => {
    const [gone, hidden, forbidden] = [
      server.put(condition('A')),
      server.put(condition('B')),
      server.put(observation('C', 1)),
    ];
    server.remove(gone);
    server.rights.set('bot', { mayRead: (resource) => resource.id !== hidden.id, forbidden: ['Observation'] });
    expect(await readableVersions(server.client(), keys(gone, hidden, forbidden))).toEqual(new Map());
  });

  test('asks nothing for nothing', async () => {
    expect(await readableVersions(server.client(), [])).toEqual(new Map());
    expect(server.requests).toEqual([]);
  });
});

describe('fieldsHiddenOf', () => {
  test.each([
    ['no policy', undefined, false],
    ['a policy that hides nothing', { resource: [{ resourceType: 'Condition', hiddenFields: [] }] }, false],
    [
      'a policy that hides fields of another type',
      { resource: [{ resourceType: 'Patient', hiddenFields: ['name'] }] },
      false,
    ],
    [
      'a policy that hides fields',
      { resource: [{ resourceType: 'Condition' }, { resourceType: 'Condition', hiddenFields: ['note'] }] },
      true,
    ],
    ['a policy that hides fields of every type', { resource: [{ resourceType: '*', hiddenFields: ['note'] }] }, true],
  ])('with %s', async (_name, accessPolicy, hidden) => {
    server.rights.set('bot', { accessPolicy });
    expect((await fieldsHiddenOf(server.client()))('Condition')).toBe(hidden);
  });

  test('holds for every type when the server does not tell', async () => {
    const medplum = { get: () => Promise.reject(new Error('down')) } as unknown as MedplumClient;
    expect((await fieldsHiddenOf(medplum))('Condition')).toBe(true);
  });
});

describe('ServerSources', () => {
  test('reads observations in one request, in the order asked for', async () => {
    const [one, two] = [server.put(observation('A', 1)), server.put(observation('B', 2))];
    const found = await new ServerSources(server.client()).observations([
      two.id,
      '3f2a1b4c-0000-4000-8000-00000000abcd',
      one.id,
    ]);
    expect(found.map(({ id }) => id)).toEqual([two.id, one.id]);
    expect(server.requests).toHaveLength(1);
  });

  test('gives no medication that is gone', async () => {
    const stored = server.put({ resourceType: 'Medication' });
    const sources = new ServerSources(server.client());
    expect((await sources.medication(stored.id))?.id).toBe(stored.id);
    server.remove(stored);
    expect(await sources.medication(stored.id)).toBeUndefined();
  });
});

describe('sightOf', () => {
  test.each([
    ['no policy', undefined, false],
    ['a rule without criteria', { resource: [{ resourceType: 'Condition' }] }, false],
    ['a rule with criteria', { resource: [{ resourceType: 'Condition', criteria: 'Condition?subject=x' }] }, true],
    ['criteria, and a rule without', { resource: [{ resourceType: 'Condition', criteria: 'Condition?a=b' }, { resourceType: '*' }] }, false],
    ['criteria of another type', { resource: [{ resourceType: 'Condition' }, { resourceType: 'Task', criteria: 'Task?a=b' }] }, false],
  ])('with %s it tells whether Conditions may be hidden', async (_name, accessPolicy, hidden) => {
    server.rights.set('bot', { accessPolicy });
    expect((await sightOf(server.client())).resourcesHidden('Condition')).toBe(hidden);
  });

  test('everything may be hidden when the server does not tell', async () => {
    const medplum = { get: () => Promise.reject(new Error('down')) } as unknown as MedplumClient;
    expect((await sightOf(medplum)).resourcesHidden('Condition')).toBe(true);
  });
});
