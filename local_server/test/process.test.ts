import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { CLIENT, configuration, launch, newFolder, OWNER, Running, SUPER } from './server.ts';

const started: Running[] = [];
const folders: string[] = [];

function folder(): string {
  const made = newFolder();
  folders.push(made);
  return made;
}

async function start(config: object): Promise<Running> {
  const server = await Running.start(config);
  started.push(server);
  return server;
}

afterEach(async () => {
  for (const server of started.splice(0)) {
    if (server.process.exitCode === null && server.process.signalCode === null) {
      await server.stop('SIGKILL');
    }
  }
  folders.splice(0).forEach((made) => rmSync(made, { recursive: true, force: true }));
});

test('says what it is in its health, its metadata and every answer', async () => {
  const server = await start(configuration(folder()));
  const name = 'medbots local server, not Medplum';
  const health = await server.request('GET', 'healthcheck');
  expect(health.body).toMatchObject({ ok: true, server: name });
  expect(health.headers.get('x-medbots-server')).toBe(name);
  const metadata = await server.request('GET', 'fhir/R4/metadata');
  expect(metadata.body.software.name).toBe(name);
  expect(metadata.body.rest[0].resource.map((r: any) => r.type)).toContain('Patient');
});

test('tells its port, process and address on one line, and listens there', async () => {
  const server = await start(configuration(folder()));
  expect(server.ready).toEqual({
    ready: true,
    port: server.ready.port,
    pid: server.process.pid,
    baseUrl: `http://localhost:${server.ready.port}/`,
  });
  expect((await server.request('GET', 'robots.txt')).status).toBe(200);
});

test('ends with code 0 within a second when it is told to', async () => {
  const server = await start(configuration(folder()));
  const before = performance.now();
  expect(await server.stop('SIGTERM')).toBe(0);
  expect(performance.now() - before).toBeLessThan(1000);
});

test('a port that is taken is one clear line and a failure', async () => {
  const first = await start(configuration(folder()));
  const second = launch(configuration(folder(), { port: first.ready.port }));
  expect(await second.exit).toBe(1);
  expect(second.stderr.join('')).toBe('medbots local server: the port is taken by another program\n');
});

test('a data folder that another server uses is one clear line and a failure', async () => {
  const data = folder();
  await start(configuration(data));
  const second = launch(configuration(data));
  expect(await second.exit).toBe(1);
  expect(second.stderr.join('')).toBe('medbots local server: the data folder is in use by another server\n');
});

test.each([
  [{ port: 'x' }, 'configuration: port: missing or not valid'],
  [{ dataDir: '' }, 'configuration: dataDir: missing or not valid'],
  [{ superAdmin: { email: 'a@example.com' } }, 'configuration: superAdmin.password: missing or not valid'],
  [{ projects: [{ name: 'x' }] }, 'configuration: projects[0].owner: missing or not valid'],
  [{ logLevel: 'loud' }, 'configuration: logLevel: missing or not valid'],
])('a configuration with %j is refused by the name of its field', async (wrong, message) => {
  const { exit, stderr } = launch(configuration(folder(), wrong));
  expect(await exit).toBe(1);
  expect(stderr.join('')).toBe(`medbots local server: ${message}\n`);
});

test('what was answered survives kill -9, with its history and its bytes', async () => {
  const data = folder();
  const first = await start(configuration(data));
  const owner = await first.login();
  const patient = await owner.create({ resourceType: 'Patient', active: true });
  await owner.request('PUT', `fhir/R4/Patient/${patient.id}`, { ...patient, active: false });
  const gone = await owner.create({ resourceType: 'Patient' });
  await owner.request('DELETE', `fhir/R4/Patient/${gone.id}`);
  const binary = await owner.request('POST', 'fhir/R4/Binary', 'some bytes', { 'content-type': 'text/plain' });
  await first.stop('SIGKILL');

  const second = await start(configuration(data, { port: first.ready.port }));
  const headers = { authorization: `Bearer ${owner.token.access_token}` };
  const read = await second.request('GET', `fhir/R4/Patient/${patient.id}`, undefined, headers);
  expect(read.body.active).toBe(false);
  const history = await second.request('GET', `fhir/R4/Patient/${patient.id}/_history`, undefined, headers);
  expect(history.body.entry.map((e: any) => e.resource.active)).toEqual([false, true]);
  expect((await second.request('GET', `fhir/R4/Patient/${gone.id}`, undefined, headers)).status).toBe(410);
  expect((await second.request('GET', `fhir/R4/Binary/${binary.body.id}`, undefined, headers)).body).toBe('some bytes');
});

test('the same configuration seeds nothing twice and undoes nothing', async () => {
  const data = folder();
  const first = await start(configuration(data));
  const admin = await first.login(SUPER);
  const { projectId } = await first.login();
  await admin.request('PATCH', `fhir/R4/Project/${projectId}`, [{ op: 'replace', path: '/features', value: [] }]);
  await first.stop();
  const second = await start(configuration(data));
  const again = await second.login(SUPER);
  const count = async (query: string): Promise<number> =>
    (await again.request('GET', `fhir/R4/${query}&_total=accurate&_count=0`)).body.total;
  expect(await count('Project?name=Clinic')).toBe(1);
  expect(await count(`ProjectMembership?project=Project/${projectId}`)).toBe(2);
  expect(await count(`User?email=${OWNER.email}`)).toBe(1);
  expect((await again.request('GET', `fhir/R4/Project/${projectId}`)).body.features).toBeUndefined();
});

test('neither log nor file shows a password, a secret, a token or a patient’s name', async () => {
  const data = folder();
  const server = await start(configuration(data));
  const owner = await server.login();
  await owner.create({ resourceType: 'Patient', name: [{ family: 'Zzyzxowitz' }] });
  await owner.request('GET', 'fhir/R4/Patient?name=Zzyzxowitz');
  const bot = await owner.bot('exports.handler = async () => { throw new Error("Zzyzxowitz"); };\n');
  await owner.request('POST', `fhir/R4/Bot/${bot.id}/$execute`, { name: 'Zzyzxowitz' });
  await server.form('oauth2/token', { grant_type: 'client_credentials', client_id: CLIENT.id, client_secret: CLIENT.secret });
  for (const secret of [OWNER.password, SUPER.password, CLIENT.secret, owner.token.access_token, 'Zzyzxowitz']) {
    expect(server.stderr).not.toContain(secret);
  }
  for (const line of server.stderr.trim().split('\n')) {
    expect(JSON.parse(line)).toHaveProperty('level');
  }
  expect(statSync(join(data, 'medplum.sqlite')).mode & 0o077).toBe(0);
});
