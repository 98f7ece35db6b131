import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { validateResource } from '@medplum/core';
import { getSearchParameter } from '@medplum/core';
import type { Observation, Patient, Resource } from '@medplum/fhirtypes';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { hashPassword, isPassword } from '../src/auth/passwords.ts';
import { Signer } from '../src/auth/signer.ts';
import { applySmartScopes } from '../src/auth/smartScopes.ts';
import { isTotp, totp } from '../src/auth/totp.ts';
import { loadDefinitions } from '../src/fhir/definitions.ts';
import { checkFields, isEmail } from '../src/http/fields.ts';
import { RateLimits } from '../src/http/rateLimits.ts';
import { Column } from '../src/store/column.ts';
import { Database } from '../src/store/database.ts';
import { Mutex } from '../src/store/mutex.ts';
import { Store } from '../src/store/store.ts';

const folder = mkdtempSync(join(tmpdir(), 'medbots-units-'));

beforeAll(() => loadDefinitions());
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function column(type: string, code: string, resource: Resource): Column {
  const made = new Column(type, getSearchParameter(type, code)!);
  made.put('id', resource);
  return made;
}

test('the embedded definitions validate as the whole ones do', () => {
  expect(() => validateResource({ resourceType: 'Patient', nonsense: 1 } as unknown as Patient)).toThrow(
    'Invalid additional property "nonsense"'
  );
  expect(() => validateResource({ resourceType: 'Observation', status: 'final' } as Observation)).toThrow(
    'Missing required property (Observation.code)'
  );
  expect(validateResource({ resourceType: 'Observation', status: 'final', code: { text: 'x' } })).toEqual([]);
});

test('one-time passwords are those of RFC 6238', () => {
  const secret = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ'; // "12345678901234567890"
  expect([59_000, 1_111_111_109_000, 20_000_000_000_000].map((t) => totp(secret, t))).toEqual(['287082', '081804', '353130']);
  expect(isTotp('287082', secret, 59_000 + 30_000)).toBe(true);
  expect(isTotp('287082', secret, 59_000 + 61_000)).toBe(false);
});

test('a password is known by its hash, and by no other', async () => {
  const hash = await hashPassword('correct horse');
  expect(hash).not.toContain('correct');
  expect(await isPassword('correct horse', hash)).toBe(true);
  expect(await isPassword('correct horsf', hash)).toBe(false);
  expect(await isPassword('x', 'plain')).toBe(false);
});

test('tokens are ours, whole and not expired, or nothing', () => {
  const database = new Database(join(folder, 'signer'));
  const signer = new Signer(database);
  const token = signer.token({ login_id: 'a' }, '1m');
  expect(signer.claims(token)?.login_id).toBe('a');
  expect(new Signer(database).claims(token)?.login_id).toBe('a');
  expect(new Signer(new Database(join(folder, 'other'))).claims(token)).toBeUndefined();
  expect(signer.claims(`${token.slice(0, -3)}AAA`)).toBeUndefined();
  expect(signer.claims('x.y.z')).toBeUndefined();
  vi.useFakeTimers({ now: Date.now() + 61_000 });
  expect(signer.claims(token)).toBeUndefined();
  vi.useRealTimers();
  expect(() => signer.token({}, '1 hour')).toThrow('Invalid token duration');
});

test('a rolled-back write is gone from memory, index and file', () => {
  const path = join(folder, 'store');
  const database = new Database(path);
  const store = new Store(database);
  const row = (id: string, gender: string) => ({
    type: 'Patient', id, versionId: `${id}-${gender}`, lastUpdated: '2024-01-01T00:00:00.000Z', project: 'p', deleted: 0,
    json: JSON.stringify({ resourceType: 'Patient', id, gender }),
  });
  store.put(row('a', 'male'));
  expect([...(store.column('Patient', 'gender')?.having('male') ?? [])]).toEqual(['a']);
  store.begin();
  store.put(row('a', 'female'));
  store.put(row('b', 'female'));
  expect(store.column('Patient', 'gender')?.having('female')?.size).toBe(2);
  store.rollback();
  expect(store.get('Patient', 'b')).toBeUndefined();
  expect(store.column('Patient', 'gender')?.having('female')).toBeUndefined();
  database.close();
  const again = new Store(new Database(path));
  expect([...again.entries('Patient').values()].map((e) => e.versionId)).toEqual(['a-male']);
});

test('token columns know systems, texts and absent systems', () => {
  const code = column('Observation', 'code', {
    resourceType: 'Observation',
    status: 'final',
    code: { text: 'sugar', coding: [{ system: 'http://l', code: 'a', display: 'Glucose' }, { code: 'b' }] },
  });
  for (const value of ['a', 'http://l|a', 'http://l|', 'b', '|b', 'sugar', 'Glucose']) {
    expect(code.having(code.keyOf(value)), value).toBeDefined();
  }
  for (const value of ['A', '|a', 'http://l', 'http://m|a', '|sugar']) {
    expect(code.having(code.keyOf(value)), value).toBeUndefined();
  }
  code.drop('id');
  expect(code.having('a')).toBeUndefined();
});

test('of a period only its start is searched, and of a birth date the day', () => {
  const period = column('Observation', 'date', {
    resourceType: 'Observation', status: 'final', code: { text: 'x' },
    effectivePeriod: { start: '2024-01-02T03:04:05Z', end: '2025-01-01' },
  });
  expect(period.cell('id').values).toEqual([Date.UTC(2024, 0, 2, 3, 4, 5)]);
  const birth = column('Patient', 'birthdate', { resourceType: 'Patient', birthDate: '1980-02-03' });
  expect(birth.cell('id').values).toEqual(['1980-02-03']);
});

test('rate limits count within a minute, apart for each address', () => {
  vi.useFakeTimers();
  const limits = new RateLimits({ auth: 2 });
  expect([1, 2, 3].map(() => limits.request('1.1.1.1', true)?.remaining)).toEqual([1, 0, 0]);
  expect(limits.request('2.2.2.2', true)?.remaining).toBe(1);
  vi.advanceTimersByTime(60_001);
  expect(limits.request('1.1.1.1', true)?.remaining).toBe(1);
  vi.useRealTimers();
  expect(new RateLimits({ requests: -1 }).request('1.1.1.1', false)).toBeUndefined();
});

test('FHIR units run out with status 429, unless the project does not enforce them', () => {
  const quota = new RateLimits({ fhir: 150 }).quota('m', 'p', { enforced: true });
  quota.write();
  expect(() => quota.write()).toThrow('Too Many Requests');
  const lenient = new RateLimits({ fhir: 150 }).quota('m', 'p', { enforced: false });
  lenient.write();
  expect(() => lenient.write()).not.toThrow();
});

test('SMART scopes narrow a policy and never widen it', () => {
  const policy = { resourceType: 'AccessPolicy' as const, resource: [{ resourceType: '*' }] };
  expect(applySmartScopes(policy, 'openid offline')).toBe(policy);
  expect(applySmartScopes(policy, 'user/Patient.rs').resource).toEqual([{ resourceType: 'Patient', readonly: true }]);
  const narrow = { resourceType: 'AccessPolicy' as const, resource: [{ resourceType: 'Task' }] };
  expect(applySmartScopes(narrow, 'user/Patient.rs').resource).toEqual([]);
});

test('field checks name every broken rule at once', () => {
  const rules = [
    { field: 'email', is: isEmail, message: 'Valid email address is required' },
    { field: 'name', is: (v: unknown) => v === 'x', message: 'Name is required' },
  ];
  expect(() => checkFields({ email: 'a@b' }, rules)).toThrow('Valid email address is required (email); Name is required (name)');
  expect(() => checkFields({ email: 'a@example.com', name: 'x' }, rules)).not.toThrow();
});

test('the mutex keeps the order of arrival and survives a failure', async () => {
  const mutex = new Mutex();
  const order: number[] = [];
  const work = (n: number, ms: number) =>
    mutex.run(async () => {
      await new Promise((resolve) => setTimeout(resolve, ms));
      order.push(n);
      if (n === 2) {
        throw new Error('two');
      }
    });
  const results = await Promise.allSettled([work(1, 10), work(2, 1), work(3, 0)]);
  expect(order).toEqual([1, 2, 3]);
  expect(results.map((r) => r.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
});
