import type { Bundle } from '@medplum/fhirtypes';
import { expect, test } from 'vitest';
import type { BotRun } from '../run.ts';
import { verifiedCpt } from './cpt-validation.ts';

/** A run on a server that answers each entry of a batch so. */
function runOn(answer: (url: string) => object | undefined): { run: BotRun; asked: string[][] } {
  const asked: string[][] = [];
  const executeBatch = async (bundle: Bundle): Promise<object> => {
    const urls = (bundle.entry ?? []).map(({ request }) => request?.url ?? '');
    asked.push(urls);
    return { resourceType: 'Bundle', entry: urls.map((url) => ({ resource: answer(url) })) };
  };
  return { run: { medplum: { executeBatch } } as unknown as BotRun, asked };
}

const result = (valueBoolean: boolean) => ({
  resourceType: 'Parameters',
  parameter: [{ name: 'result', valueBoolean }],
});

test('codes that the server knows are verified, all in one request', async () => {
  const { run, asked } = runOn((url) => result(url.endsWith('code=93000')));
  expect(await verifiedCpt(run, ['93000', '99999'])).toEqual(new Set(['93000']));
  expect(asked).toEqual([
    [
      'CodeSystem/$validate-code?url=http%3A%2F%2Fwww.ama-assn.org%2Fgo%2Fcpt&code=93000',
      'CodeSystem/$validate-code?url=http%3A%2F%2Fwww.ama-assn.org%2Fgo%2Fcpt&code=99999',
    ],
  ]);
});

test.each([
  ['has no such operation', () => ({ resourceType: 'OperationOutcome' })],
  ['answers nothing', () => undefined],
  ['answers something else', () => ({ resourceType: 'Parameters' })],
])('a server that %s verifies nothing', async (_name, answer) => {
  expect(await verifiedCpt(runOn(answer).run, ['93000'])).toEqual(new Set());
});

test('a server that fails verifies nothing', async () => {
  const { run } = runOn(() => {
    throw new TypeError('no');
  });
  expect(await verifiedCpt(run, ['93000'])).toEqual(new Set());
});

test('a server that is silent costs three seconds at most', async () => {
  const run = { medplum: { executeBatch: () => new Promise(() => undefined) } } as unknown as BotRun;
  const started = Date.now();
  expect(await verifiedCpt(run, ['93000'])).toEqual(new Set());
  expect(Date.now() - started).toBeLessThan(4_000);
});

test('without a code nobody is asked', async () => {
  const { run, asked } = runOn(() => undefined);
  expect(await verifiedCpt(run, [])).toEqual(new Set());
  expect(asked).toEqual([]);
});
