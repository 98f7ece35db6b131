import { rmSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Session } from './server.ts';
import { configuration, newFolder, Running } from './server.ts';

const data = newFolder();
let server: Running;
let owner: Session;

beforeAll(async () => {
  server = await Running.start(configuration(data, { rateLimits: { fhir: -1 } }));
  owner = await server.login();
});

afterAll(async () => {
  await server.stop();
  rmSync(data, { recursive: true, force: true });
});

const entry = (method: string, url: string, resource?: object, more: object = {}): object => ({
  request: { method, url, ...more },
  resource,
});

async function count(query: string): Promise<number> {
  const found = await owner.request('GET', `fhir/R4/${query}&_total=accurate&_count=0`);
  return found.body.total;
}

test('of many conditional creates at once exactly one creates', async () => {
  const patient = { resourceType: 'Patient', identifier: [{ system: 'http://race', value: '1' }] };
  const answers = await Promise.all(
    Array.from({ length: 20 }, () =>
      owner.request('POST', 'fhir/R4/Patient', patient, { 'if-none-exist': 'identifier=http://race|1' })
    )
  );
  expect(answers.filter((a) => a.status === 201)).toHaveLength(1);
  expect(await count('Patient?identifier=http://race|1')).toBe(1);
});

test('of many updates with the same If-Match exactly one wins', async () => {
  const task = await owner.create({ resourceType: 'Task', status: 'requested', intent: 'order' });
  const answers = await Promise.all(
    Array.from({ length: 10 }, (_, i) =>
      owner.request('PUT', `fhir/R4/Task/${task.id}`, { ...task, description: `claim ${i}` }, {
        'if-match': `W/"${task.meta.versionId}"`,
      })
    )
  );
  expect(answers.map((a) => a.status).sort()).toEqual([200, ...Array(9).fill(412)]);
});

test('a failing transaction leaves nothing, while others go on writing', async () => {
  const bad = {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [
      ...Array.from({ length: 5 }, () => entry('POST', 'Patient', { resourceType: 'Patient', gender: 'other' })),
      entry('POST', 'Patient', { resourceType: 'Patient', nonsense: 1 }),
    ],
  };
  const work = Array.from({ length: 10 }, (_, i) => [
    owner.request('POST', 'fhir/R4', bad),
    owner.create({ resourceType: 'Organization', name: `o${i}` }),
  ]).flat();
  const answers = (await Promise.all(work)) as { status?: number }[];
  expect(answers.filter((a) => a.status === 400)).toHaveLength(10);
  expect(await count('Patient?gender=other')).toBe(0);
  expect(await count('Organization?name=o')).toBe(10);
});

test('searching after a rollback finds what was there before', async () => {
  const kept = await owner.create({ resourceType: 'Patient', identifier: [{ value: 'kept' }], active: true });
  await owner.request('POST', 'fhir/R4', {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [
      entry('PUT', `Patient/${kept.id}`, { resourceType: 'Patient', id: kept.id, identifier: [{ value: 'lost' }] }),
      entry('POST', 'Patient', { resourceType: 'Patient', nonsense: 1 }),
    ],
  });
  expect(await count('Patient?identifier=kept')).toBe(1);
  expect(await count('Patient?identifier=lost')).toBe(0);
});

test('an operation inside of a transaction joins it', async () => {
  const bot = await owner.bot('exports.handler = async () => 1;\n');
  const answer = await owner.request('POST', 'fhir/R4', {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [
      entry('POST', `Bot/${bot.id}/$deploy`, { code: 'exports.handler = async () => 2;\n', filename: 'index.js' } as object),
      entry('POST', 'Patient', { resourceType: 'Patient' }),
    ],
  });
  expect(answer.body.entry.map((e: any) => e.response.status)).toEqual(['200', '201']);
  const run = await owner.request('POST', `fhir/R4/Bot/${bot.id}/$execute`, {});
  expect(run.body).toBe(2);
});

test('a burst of a hundred creates loses none and fires each subscription once', async () => {
  const bot = await owner.bot('exports.handler = async (medplum, event) => { console.log(event.input.id); };\n');
  await owner.create({
    resourceType: 'Subscription',
    status: 'active',
    reason: 'test',
    criteria: 'Location',
    channel: { type: 'rest-hook', endpoint: `Bot/${bot.id}` },
  });
  const made = await Promise.all(
    Array.from({ length: 100 }, (_, i) => owner.create({ resourceType: 'Location', name: `l${i}` }))
  );
  let seen = new Set<string>();
  for (let i = 0; i < 60 && seen.size < 100; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    const found = await owner.request('GET', `fhir/R4/AuditEvent?source=Bot/${bot.id}&_count=1000`);
    const ids = (found.body.entry ?? []).map((e: any) => e.resource.outcomeDesc);
    expect(new Set(ids).size).toBe(ids.length);
    seen = new Set(ids);
  }
  expect([...seen].sort()).toEqual(made.map((l) => l.id).sort());
});
