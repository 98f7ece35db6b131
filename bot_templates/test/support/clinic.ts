import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { MedplumClient } from '@medplum/core';
import type {
  AccessPolicy,
  AccessPolicyResource,
  AuditEvent,
  Bot,
  Practitioner,
  PractitionerRole,
  ProjectMembership,
  Resource,
} from '@medplum/fhirtypes';
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { CLIENT, configuration, newFolder, Running, type Session, SUPER } from '../../../local_server/test/server.ts';
import { TestDatabase } from './database.ts';
import { PROJECT } from './events.ts';
import { readManifest } from './manifest.ts';
import { TestRouter } from './router.ts';
import { bundle } from './vm-context.ts';

export const NAMESPACE = 'urn:medbots';

/** Somebody who may log in. */
export interface Member {
  client: MedplumClient;
  profile: Practitioner & { id: string };
}

/** What a bot answers. */
export type Output = { success: boolean; errorCode?: string; warnings?: string[] } & Record<string, any>;

const ROLE_SYSTEM = 'http://terminology.hl7.org/CodeSystem/practitioner-role';

/**
 * A clinic with its bots: the local server with an ordinary project, a model router and, where asked for, a database.
 *
 * The bots are bundled from their sources and run on the server, with the policies of the manifest that ships.
 */
export class Clinic {
  readonly router = new TestRouter();
  /** The project's admin. */
  admin!: MedplumClient;
  /** A doctor who is no admin, with an active PractitionerRole. */
  doctor!: Member;
  #server!: Running;
  #session!: Session;
  #database: TestDatabase | undefined;
  #folder = '';
  readonly #bots = new Map<string, string>();

  get database(): TestDatabase {
    if (!this.#database) {
      throw new Error('this clinic has no database');
    }
    return this.#database;
  }

  async start(keys: readonly string[], withDatabase: boolean): Promise<void> {
    this.#folder = newFolder();
    // The limits of a real server would end a busy test.
    this.#server = await Running.start(configuration(this.#folder, { rateLimits: { requests: -1, auth: -1, fhir: -1 } }));
    this.#session = await this.#server.login();
    this.admin = this.#client(this.#session.token.access_token as string);
    await this.router.start();
    if (withDatabase) {
      this.#database = await TestDatabase.create();
    }
    await this.setSecrets({});
    await this.admin.createResource({
      resourceType: 'Device',
      identifier: [{ system: `${NAMESPACE}/device`, value: 'clinical-model' }],
      deviceName: [{ name: 'clinical-model', type: 'user-friendly-name' }],
    });
    for (const key of keys) {
      await this.deploy(key);
    }
    this.doctor = await this.member('doctor');
  }

  async stop(): Promise<void> {
    await this.#server.stop();
    await this.router.stop();
    await this.#database?.drop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Sets the project's secrets: those that every bot needs, and more. */
  async setSecrets(more: Record<string, string>): Promise<void> {
    const values: Record<string, string> = {
      LLM_ROUTER_URL: this.router.url,
      LLM_API_KEY: 'sk-test',
      LLM_TIMEOUT_MS: '1000',
      EMBED_TIMEOUT_MS: '400',
      MEDBOTS_PROJECT_ID: PROJECT,
      MEDBOTS_NAMESPACE: NAMESPACE,
      ...(this.#database ? { DATABASE_URL: this.#database.url() } : {}),
      ...more,
    };
    const secrets = Object.entries(values).map(([name, valueString]) => ({ name, valueString }));
    await this.admin.post(`admin/projects/${this.#session.projectId}/secrets`, secrets);
  }

  /** Deploys a bot from its source. */
  async deploy(key: string, policy?: AccessPolicyResource[]): Promise<void> {
    const { name, timeout, runAsUser, policy: shipped } = readManifest().bots[key] as NonNullable<
      ReturnType<typeof readManifest>['bots'][string]
    >;
    const bot = (await this.admin.post(`admin/projects/${this.#session.projectId}/bot`, {
      name,
      runtimeVersion: 'vmcontext',
    })) as Bot & { id: string };
    this.#bots.set(key, bot.id);
    const identifier = [{ system: `${NAMESPACE}/bot`, value: key }];
    await this.admin.updateResource({ ...bot, identifier, timeout, runAsUser });
    await this.admin.post(this.admin.fhirUrl('Bot', bot.id, '$deploy'), {
      code: await bundle(key),
      filename: 'index.js',
    });
    await this.setPolicy(key, policy ?? shipped);
  }

  /** Runs other code once with the rights of a bot, and puts the bot's own back. */
  async runAs(key: string, code: string, input: object): Promise<Output> {
    const url = this.admin.fhirUrl('Bot', this.botId(key), '$deploy');
    await this.admin.post(url, { code, filename: 'probe.js' });
    try {
      return await this.execute(key, input);
    } finally {
      await this.admin.post(url, { code: await bundle(key), filename: 'index.js' });
    }
  }

  /** Replaces what the project may do. */
  async setFeatures(...features: string[]): Promise<void> {
    const session = await this.#server.login(SUPER);
    const url = `fhir/R4/Project/${this.#session.projectId}`;
    const patch = [{ op: 'add', path: '/features', value: features }];
    await session.request('PATCH', url, JSON.stringify(patch), { 'content-type': 'application/json-patch+json' });
  }

  /** The token with which a bot's code calls the server. */
  async tokenOf(key: string): Promise<string> {
    const probe = 'exports.handler = async (medplum) => ({ token: medplum.getAccessToken() });\n';
    return String((await this.runAs(key, probe, {})).token);
  }

  /** A client that calls the server as somebody, by a fetch of the test; a server gives its bots one with 2 retries. */
  clientWith(token: string, fetching: typeof fetch, maxRetries = 0): MedplumClient {
    const medplum = new MedplumClient({ baseUrl: this.#server.baseUrl, fetch: fetching, cacheTime: 0, maxRetries });
    medplum.setAccessToken(token);
    return medplum;
  }

  /** Gives a deployed bot other rights. */
  async setPolicy(key: string, rules: AccessPolicyResource[]): Promise<void> {
    const policy = await this.admin.createResource<AccessPolicy>({
      resourceType: 'AccessPolicy',
      name: key,
      resource: rules,
    });
    const membership = await this.admin.searchOne('ProjectMembership', `profile=Bot/${this.botId(key)}`, RELOAD);
    await this.admin.updateResource<ProjectMembership>({
      ...(membership as ProjectMembership),
      accessPolicy: { reference: `AccessPolicy/${policy.id}` },
    });
  }

  botId(key: string): string {
    const id = this.#bots.get(key);
    if (id === undefined) {
      throw new Error(`${key} is not deployed in this clinic`);
    }
    return id;
  }

  /** Runs a bot as somebody, by default the doctor. */
  async execute(key: string, input: object, as: MedplumClient = this.doctor.client, headers = {}): Promise<Output> {
    const url = as.fhirUrl('Bot', this.botId(key), '$execute');
    return (await as.post(url, input, 'application/json', { headers })) as Output;
  }

  /** Invites a practitioner; a role's code is of HL7's practitioner roles, and without a policy they may do all. */
  async member(role?: string, rules?: AccessPolicyResource[]): Promise<Member> {
    const email = `${randomUUID()}@clinic.example`;
    const password = `pw-${randomUUID()}`;
    const policy =
      rules && (await this.admin.createResource<AccessPolicy>({ resourceType: 'AccessPolicy', name: email, resource: rules }));
    const membership = (await this.admin.post(`admin/projects/${this.#session.projectId}/invite`, {
      resourceType: 'Practitioner',
      firstName: 'Pat',
      lastName: 'Practice',
      email,
      password,
      sendEmail: false,
      ...(policy ? { membership: { accessPolicy: { reference: `AccessPolicy/${policy.id}` } } } : {}),
    })) as ProjectMembership;
    const session = await this.#server.login({ email, password });
    const id = (membership.profile as { reference: string }).reference.split('/')[1] as string;
    if (role !== undefined) {
      await this.admin.createResource<PractitionerRole>({
        resourceType: 'PractitionerRole',
        active: true,
        practitioner: { reference: `Practitioner/${id}` },
        code: [{ coding: [{ system: ROLE_SYSTEM, code: role }] }],
      });
    }
    const profile = (await this.admin.readResource('Practitioner', id)) as Member['profile'];
    return { client: this.#client(session.token.access_token as string), profile };
  }

  /** Somebody who may log in and is no practitioner. */
  async person(resourceType: 'Patient' | 'RelatedPerson'): Promise<MedplumClient> {
    const patient = await this.create({ resourceType: 'Patient' });
    const profile =
      resourceType === 'Patient'
        ? patient
        : await this.create({ resourceType: 'RelatedPerson', patient: { reference: `Patient/${patient.id}` } });
    const { projectId } = this.#session;
    const login = { email: `${randomUUID()}@home.example`, password: `pw-${randomUUID()}`, projectId };
    await this.admin.post(`admin/projects/${projectId}/invite`, {
      resourceType,
      firstName: 'Sam',
      lastName: 'Someone',
      ...login,
      scope: 'project',
      sendEmail: false,
      membership: { profile: { reference: `${resourceType}/${profile.id}` } },
    });
    return this.#client((await this.#server.login(login)).token.access_token as string);
  }

  /** A client of the project that is no person. */
  async application(): Promise<MedplumClient> {
    const token = await this.#server.form('oauth2/token', {
      grant_type: 'client_credentials',
      client_id: CLIENT.id,
      client_secret: CLIENT.secret,
    });
    return this.#client(token.body.access_token as string);
  }

  /** Creates a resource as the admin. */
  async create<T extends Resource>(resource: T): Promise<T & { id: string; meta: { versionId: string } }> {
    return (await this.admin.createResource(resource)) as unknown as T & { id: string; meta: { versionId: string } };
  }

  /** Every resource of a search, read anew. */
  async find<T extends Resource>(type: T['resourceType'], query: string): Promise<T[]> {
    return [...((await this.admin.searchResources(type as never, `${query}&_count=200`, RELOAD)) as unknown as T[])];
  }

  /** Our own audit events of a type, oldest first. */
  async audits(type: string, query = ''): Promise<AuditEvent[]> {
    const found = await this.find<AuditEvent>('AuditEvent', `subtype=${NAMESPACE}/ai-audit-event|${type}${query}`);
    return found.sort((one, other) => (one.recorded ?? '').localeCompare(other.recorded ?? ''));
  }

  #client(token: string): MedplumClient {
    const medplum = new MedplumClient({ baseUrl: this.#server.baseUrl, fetch, cacheTime: 0 });
    medplum.setAccessToken(token);
    return medplum;
  }
}

const RELOAD = { cache: 'reload' } as const;

/** Starts a clinic with some bots for the tests of a block. */
export function useClinic(keys: readonly string[], { withDatabase = false } = {}): Clinic {
  const clinic = new Clinic();
  beforeAll(() => clinic.start(keys, withDatabase), 60_000);
  afterAll(() => clinic.stop());
  beforeEach(() => clinic.router.reset());
  return clinic;
}
