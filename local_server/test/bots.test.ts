import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Session } from './server.ts';
import { configuration, newFolder, Running, SUPER } from './server.ts';

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

async function run(code: string, input: unknown = {}): Promise<{ status: number; body: any }> {
  const bot = await owner.bot(code);
  return owner.request('POST', `fhir/R4/Bot/${bot.id}/$execute`, input);
}

test('every package that the real server offers can be required, and no other', async () => {
  const names = ['pg', 'ioredis', 'bullmq', 'node-fetch', 'axios', '@medplum/core', '@medplum/ccda', 'jose', 'zod', 'uuid', 'fs', 'node:timers'];
  const found = await run(`exports.handler = async () => ${JSON.stringify(names)}.map((n) => typeof require(n));\n`);
  expect(found.body.every((type: string) => type === 'object' || type === 'function')).toBe(true);
  const missing = await run('exports.handler = async () => require("openai");\n');
  expect(missing.status).toBe(400);
  expect(missing.body.issue[0].details.text).toMatch(/^Cannot find module 'openai'/);
});

test('a bot has the globals of vmcontext and none besides', async () => {
  const present = ['fetch', 'require', 'process', 'ContentType', 'Hl7Message', 'MedplumClient', 'TextEncoder', 'TextDecoder', 'URL', 'URLSearchParams'];
  const absent = ['setTimeout', 'Buffer', 'AbortController', 'Headers', 'crypto', 'performance', 'structuredClone'];
  const code = (names: string[]): string =>
    `exports.handler = async () => [${names.map((n) => `typeof ${n}`).join(',')}].map((t) => t !== 'undefined');\n`;
  expect((await run(code(present))).body).toEqual(present.map(() => true));
  expect((await run(code(absent))).body).toEqual(absent.map(() => false));
});

test.each([
  ['console.error', 'exports.handler = async () => { console.error("x"); };\n', 'console.error is not a function'],
  ['module.exports', 'module.exports = { handler: async () => 1 };\n', 'exports.handler is not a function'],
  ['ESM', 'export async function handler() {}\n', "Unexpected token 'export'"],
  ['top-level await', 'await 1; exports.handler = async () => 1;\n', 'await is only valid in async functions'],
])('%s fails at run time only', async (_name, code, message) => {
  const answer = await run(code);
  expect(answer.status).toBe(400);
  expect(answer.body.issue[0].details.text).toContain(message);
});

test('a last statement without its semicolon never calls the handler', async () => {
  expect((await run('exports.handler = async () => 1')).status).toBe(500);
});

test('the time limit ends a loop, and says so', async () => {
  const bot = await owner.bot('exports.handler = () => { for (;;); };\n');
  await owner.request('PATCH', `fhir/R4/Bot/${bot.id}`, [{ op: 'add', path: '/timeout', value: 1 }]);
  const answer = await owner.request('POST', `fhir/R4/Bot/${bot.id}/$execute`, {});
  expect(answer.body.issue[0].details.text).toBe('Script execution timed out after 1000ms');
});

test('a bot acts with its own membership, or with its user’s, or with the caller’s when it has none', async () => {
  const code = 'exports.handler = async (m) => (await m.get("auth/me")).membership.profile.reference.split("/")[0];\n';
  const bot = await owner.bot(code);
  const path = `fhir/R4/Bot/${bot.id}/$execute`;
  expect((await owner.request('POST', path, {})).body).toBe('Bot');
  await owner.request('PATCH', `fhir/R4/Bot/${bot.id}`, [{ op: 'add', path: '/runAsUser', value: true }]);
  expect((await owner.request('POST', path, {})).body).toBe('Practitioner');
  const bare = await owner.create({ resourceType: 'Bot', name: 'Bare', runtimeVersion: 'vmcontext' });
  await owner.request('POST', `fhir/R4/Bot/${bare.id}/$deploy`, { code });
  expect((await owner.request('POST', `fhir/R4/Bot/${bare.id}/$execute`, {})).body).toBe('Practitioner');
});

test('secrets reach the bot by name, and posting a list replaces the old one', async () => {
  const path = `admin/projects/${owner.projectId}/secrets`;
  await owner.request('POST', path, [{ name: 'A', valueString: '1' }]);
  await owner.request('POST', path, [{ name: 'B', valueString: '2' }]);
  const answer = await run('exports.handler = async (m, event) => event.secrets;\n');
  expect(answer.body).toEqual({ B: { name: 'B', valueString: '2' } });
});

test('a failing bot runs once per event, a bot without membership never, and a membership that comes in time lets it', async () => {
  const failing = await owner.bot('exports.handler = async () => { throw new Error("no"); };\n');
  const bare = await owner.create({ resourceType: 'Bot', name: 'Bare', runtimeVersion: 'vmcontext' });
  await owner.request('POST', `fhir/R4/Bot/${bare.id}/$deploy`, { code: 'exports.handler = async () => 1;\n' });
  for (const bot of [failing, bare]) {
    await owner.create({
      resourceType: 'Subscription',
      status: 'active',
      reason: 'test',
      criteria: 'Organization',
      channel: { type: 'rest-hook', endpoint: `Bot/${bot.id}` },
    });
  }
  await owner.create({ resourceType: 'Organization', name: 'o' });
  expect(await owner.runs(failing.id, 2)).toMatchObject([{ outcome: '4' }]);
  expect(await owner.runs(bare.id, 0)).toEqual([]);
  const admin = await server.login(SUPER);
  const reference = { reference: `Bot/${bare.id}` };
  await admin.request('POST', 'fhir/R4/ProjectMembership', {
    resourceType: 'ProjectMembership',
    project: { reference: `Project/${owner.projectId}` },
    user: reference,
    profile: reference,
  });
  await owner.create({ resourceType: 'Organization', name: 'p' });
  expect((await owner.runs(bare.id, 1)).length).toBeGreaterThanOrEqual(1);
});

test('a subscription to an address posts the resource with its signature', async () => {
  const posts: { headers: Record<string, unknown>; body: string }[] = [];
  const hook = createServer((req, res) => {
    let body = '';
    req.on('data', (chunk) => (body += chunk)).on('end', () => {
      posts.push({ headers: req.headers, body });
      res.end();
    });
  });
  await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve));
  await owner.create({
    resourceType: 'Subscription',
    status: 'active',
    reason: 'test',
    criteria: 'Medication',
    channel: { type: 'rest-hook', endpoint: `http://127.0.0.1:${(hook.address() as AddressInfo).port}/` },
    extension: [{ url: 'https://www.medplum.com/fhir/StructureDefinition/subscription-secret', valueString: 's' }],
  });
  const medication = await owner.create({ resourceType: 'Medication' });
  for (let i = 0; i < 40 && posts.length === 0; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  hook.close();
  expect(posts).toHaveLength(1);
  expect(JSON.parse(posts[0]?.body ?? '').id).toBe(medication.id);
  expect(posts[0]?.headers['x-signature']).toMatch(/^[\da-f]{64}$/);
});

test('without the feature no bot is deployed or run', async () => {
  const admin = await server.login(SUPER);
  const made = await admin.request('POST', 'fhir/R4/Bot', { resourceType: 'Bot', name: 'B', runtimeVersion: 'vmcontext' });
  const deployed = await admin.request('POST', `fhir/R4/Bot/${made.body.id}/$deploy`, { code: 'x' });
  expect([deployed.status, deployed.body.issue[0].details.text]).toEqual([400, 'Bots not enabled']);
  const ran = await admin.request('POST', `fhir/R4/Bot/${made.body.id}/$execute`, {});
  expect(ran.body.issue[0].details.text).toBe('Bots not enabled');
});
